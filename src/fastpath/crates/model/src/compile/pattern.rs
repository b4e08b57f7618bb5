//! RE2 patterns → the `regex` crate, which has RE2's guarantees and nearly its syntax.

use regex::bytes::{Regex, RegexBuilder};

/// What a compiled program may take; RE2's own default in Envoy is 8 MiB.
const PROGRAM_BYTES: usize = 4 << 20;
/// The cache of a lazily built automaton.
const DFA_BYTES: usize = 1 << 20;

/// A pattern that must match the whole text.
pub(super) fn full_match(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern);
    build(&format!(r"\A(?:{translated})\z"), &translated)
}

/// A pattern that is searched for.
pub(super) fn search(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern);
    build(&translated, &translated)
}

fn build(pattern: &str, shown: &str) -> Result<Regex, String> {
    // RE2's \w, \d, \s and \b are ASCII; its \p{..} and classes are not, and need the other mode.
    for unicode in [false, true] {
        let built = RegexBuilder::new(pattern)
            .unicode(unicode)
            .size_limit(PROGRAM_BYTES)
            .dfa_size_limit(DFA_BYTES)
            .build();
        match built {
            Ok(regex) => return Ok(regex),
            Err(regex::Error::CompiledTooBig(limit)) => {
                return Err(format!(
                    "the regex {shown:?} compiles to more than {limit} bytes"
                ));
            }
            Err(_) if !unicode => {}
            Err(error) => return Err(describe(shown, &error)),
        }
    }
    Err(format!("bad regex {shown:?}"))
}

/// The last line of the crate's message says what; the others draw the pattern.
fn describe(pattern: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!(
        "bad regex {pattern:?}: {}",
        last.trim_start_matches("error: ")
    )
}

/// Writes what RE2 reads in another way so that the crate reads it as RE2 does: literal `{`,
/// set operators and `[` inside classes, `\<`, octal, `\Q..\E`, `\C`.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut class = Class::Outside;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match (c, class) {
            ('\\', _) => {
                class = class.after_item();
                escape(after, &mut out)
            }
            ('[', Class::Outside) => {
                class = Class::Start;
                out.push('[');
                match after.strip_prefix('^') {
                    Some(after) => {
                        out.push('^');
                        after
                    }
                    None => after,
                }
            }
            ('{', Class::Outside) if !is_repetition(after) => {
                out.push_str("\\{");
                after
            }
            (c, Class::Outside) => {
                out.push(c);
                after
            }
            (']', Class::Item | Class::Done) => {
                class = Class::Outside;
                out.push(']');
                after
            }
            ('-', Class::Item) if !after.starts_with(']') => {
                class = Class::RangeEnd;
                out.push('-');
                after
            }
            ('[', _) if posix_class(rest).is_some() => {
                let (name, after) = posix_class(rest).unwrap_or(("", after));
                class = Class::Done;
                out.push_str(name);
                after
            }
            (c, _) => {
                // Itself, whatever it means to the crate: `]` that comes first, `[`, `&&`, `~~`.
                class = class.after_item();
                if c.is_ascii_punctuation() {
                    out.push('\\');
                }
                out.push(c);
                after
            }
        };
    }
    out
}

/// Where in a character class a pattern is.
#[derive(Clone, Copy)]
enum Class {
    Outside,
    /// Right after `[` or `[^`.
    Start,
    /// After a character that may begin a range.
    Item,
    /// After the `-` of a range.
    RangeEnd,
    /// After a range or a named class, where `-` is itself.
    Done,
}

impl Class {
    /// A character or an escape was read.
    fn after_item(self) -> Self {
        match self {
            Self::Outside => Self::Outside,
            Self::RangeEnd => Self::Done,
            Self::Start | Self::Item | Self::Done => Self::Item,
        }
    }
}

/// What follows a backslash.
fn escape<'p>(after: &'p str, out: &mut String) -> &'p str {
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let rest = after.get(c.len_utf8()..).unwrap_or_default();
    match c {
        // Word boundaries to the crate.
        '<' | '>' => out.push(c),
        // Any byte.
        'C' => out.push_str("(?s-u:.)"),
        'Q' => {
            let (literal, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(literal));
            return rest;
        }
        // Octal, up to three digits; a single digit but 0 would be a backreference.
        '0'..='7' if c == '0' || rest.starts_with(|d: char| d.is_digit(8)) => {
            let more = rest
                .bytes()
                .take(2)
                .take_while(|b| matches!(b, b'0'..=b'7'))
                .count();
            let (digits, rest) = rest.split_at_checked(more).unwrap_or(("", rest));
            let value = u32::from_str_radix(&format!("{c}{digits}"), 8).unwrap_or(0);
            out.push_str(&format!("\\x{{{value:x}}}"));
            return rest;
        }
        'p' | 'P' if rest.starts_with('{') => {
            // Its braces are no repetition.
            let end = rest.find('}').map_or(rest.len(), |at| at.saturating_add(1));
            let (name, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
            out.push('\\');
            out.push(c);
            out.push_str(name);
            return rest;
        }
        'x' if rest.starts_with('{') => {
            let end = rest.find('}').map_or(rest.len(), |at| at.saturating_add(1));
            let (digits, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
            out.push_str("\\x");
            out.push_str(digits);
            return rest;
        }
        c => {
            out.push('\\');
            out.push(c);
        }
    }
    rest
}

/// `[:alpha:]` at the start of `text`, and what follows.
fn posix_class(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix("[:")?;
    let end = inside.find(":]")?;
    let name = inside.get(..end)?;
    if !name
        .strip_prefix('^')
        .unwrap_or(name)
        .bytes()
        .all(|b| b.is_ascii_lowercase())
    {
        return None;
    }
    text.split_at_checked(end.saturating_add(4))
}

/// Whether `{` followed by `after` repeats: `{n}`, `{n,}`, `{n,m}`. RE2 reads others literally.
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else {
        return false;
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match inside.split_once(',') {
        None => digits(inside),
        Some((min, max)) => digits(min) && (max.is_empty() || digits(max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn re2_syntax_that_the_crate_reads_otherwise() {
        for (pattern, text, want) in [
            (r"/api/{id}", "/api/{id}", true),
            (r"/a{2}", "/aa", true),
            (r"/a{,2}", "/a{,2}", true),
            (r"/[[]x", "/[x", true),
            (r"/[]a]+", "/]a", true),
            (r"/[a&&b]+", "/&ab", true),
            (r"/[a~~b]+", "/~", true),
            (r"/[+--]+", "/-", true),
            (r"/[[:alpha:]]+", "/abc", true),
            (r"/\<a\>", "/<a>", true),
            (r"/\Qa.b\E.", "/a.bc", true),
            (r"/\Qa.b\E.", "/axbc", false),
            (r"/\d+", "/12", true),
            (r"/\pL+", "/abc", true),
            (r"/\p{Greek}", "/\u{3b1}", true),
            (r"/a", "/ab", false),
            (r"a|/ab", "/ab", true),
            (r"/(?P<x>a)(?i)B", "/ab", true),
            (r"/.", "/\n", false),
            (r"/\x{41}", "/A", true),
            (r"/[\d]+", "/12", true),
            (r"/[\d]+", "/1a", false),
            (r"/[^\n]", "/a", true),
            (r"/[^\d][a]", "/xa", true),
            (r"/[\w-]+", "/a-b", true),
            (r"/[\]]", "/]", true),
            (r"/[\[a]+", "/[a", true),
            (r"/[^]a]", "/b", true),
            (r"/[+--]", "/,", true),
            (r"/[--0]", "/.", true),
            (r"/[a-]", "/-", true),
            (r"/[a-c-e]", "/d", false),
            (r"/[^-a]", "/-", false),
            (r"/[!-~]", "/m", true),
            (r"/\101\0", "/A\0", true),
        ] {
            let regex = full_match(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!(regex.is_match(text.as_bytes()), want, "{pattern} {text}");
        }
        for bad in ["(", "[", "a(?=b)", r"\1", "*", "a{1000}{1000}{1000}"] {
            assert!(full_match(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn matches_what_envoy_matched() {
        let mut lines = include_str!("pattern_envoy.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'));
        let paths: Vec<&str> = lines.next().unwrap().split('\t').skip(1).collect();
        let mut checked = 0;
        for line in lines {
            let (pattern, matched) = line.split_once('\t').unwrap_or((line, ""));
            let matched: Vec<&str> = matched.split('\t').collect();
            let regex = full_match(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            for path in &paths {
                let want = matched.contains(path);
                assert_eq!(regex.is_match(path.as_bytes()), want, "{pattern} {path}");
                checked += 1;
            }
        }
        assert!(checked > 500, "only {checked}");
    }
}
