//! `--log-format`: patterns of spdlog, as Envoy takes them, split once.
//!
//! Times are UTC. Nothing is padded or aligned, and no line has a place in the source.

use model::format::{TimeFormat, TimePart};

use super::format::write_time;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `%v`, and `%_` with escaped line ends, which ours always are.
    Message,
    /// `%j`: as the inside of a JSON string.
    MessageJson,
    /// `%n`
    Component,
    /// `%l`
    Level,
    /// `%L`: its first letter in upper case.
    LevelLetter,
    /// `%t`
    Thread,
    /// `%P`
    Process,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Time(TimeFormat),
    Field(Field),
}

/// What Envoy has without the flag, less the place in its source.
const DEFAULT: &str = "[%Y-%m-%d %T.%e][%t][%l][%n] %v";

impl Default for LogFormat {
    fn default() -> Self {
        Self::parse(DEFAULT).unwrap_or(Self { parts: Vec::new() })
    }
}

impl LogFormat {
    /// # Errors
    /// What is not known here, by name.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let flag = chars.next().ok_or("it ends in a single %")?;
            if flag == '%' {
                text.push('%');
                continue;
            }
            let Some(part) = part(flag) else {
                // The place in the source, and colours, which a message may lack in spdlog, too.
                if "@sg#!^$".contains(flag) {
                    continue;
                }
                return Err(format!("%{flag} is not supported"));
            };
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text).into()));
            }
            parts.push(part);
        }
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        Ok(Self { parts })
    }

    /// Writes a line without its end; `field` writes what the message says.
    pub(super) fn write(
        &self,
        wall: u64,
        line: &mut Vec<u8>,
        mut field: impl FnMut(Field, &mut Vec<u8>),
    ) {
        for part in &self.parts {
            match part {
                Part::Text(text) => line.extend_from_slice(text.as_bytes()),
                Part::Time(format) => write_time(format, wall, line),
                Part::Field(which) => field(*which, line),
            }
        }
    }
}

fn part(flag: char) -> Option<Part> {
    let field = match flag {
        'v' | '_' => Field::Message,
        'j' => Field::MessageJson,
        'n' => Field::Component,
        'l' => Field::Level,
        'L' => Field::LevelLetter,
        't' => Field::Thread,
        'P' => Field::Process,
        _ => {
            let parts = time(flag)?;
            return Some(Part::Time(TimeFormat { parts }));
        }
    };
    Some(Part::Field(field))
}

fn time(flag: char) -> Option<Vec<TimePart>> {
    use TimePart as T;
    let text = |text: &str| T::Text(text.into());
    Some(match flag {
        'Y' => vec![T::Year],
        'C' | 'y' => vec![T::YearOfCentury],
        'm' => vec![T::Month],
        'd' => vec![T::Day],
        'H' => vec![T::Hour],
        'I' => vec![T::Hour12],
        'M' => vec![T::Minute],
        'S' => vec![T::Second],
        'e' => vec![T::Fraction(3)],
        'f' => vec![T::Fraction(6)],
        'F' => vec![T::Fraction(9)],
        'E' => vec![T::Epoch],
        'p' => vec![T::AmPm],
        'a' => vec![T::WeekdayShort],
        'A' => vec![T::WeekdayLong],
        'b' | 'h' => vec![T::MonthShort],
        'B' => vec![T::MonthLong],
        'z' => vec![T::OffsetColon],
        'R' => vec![T::Hour, text(":"), T::Minute],
        'T' | 'X' => vec![T::Hour, text(":"), T::Minute, text(":"), T::Second],
        'D' | 'x' => vec![T::Month, text("/"), T::Day, text("/"), T::YearOfCentury],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pattern: &str) -> String {
        let format = LogFormat::parse(pattern).unwrap();
        let mut line = Vec::new();
        format.write(1_795_383_723_316_532_000, &mut line, |field, out| {
            out.extend_from_slice(format!("{field:?}").as_bytes());
        });
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn patterns() {
        for (pattern, line) in [
            (
                "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t",
                "2026-11-22T21:42:03.316532Z\tLevel\tenvoy Component :\tMessage\tthread=Thread",
            ),
            (
                "{\"level\":\"%l\",\"time\":\"%Y-%m-%dT%T.%fZ\",\"scope\":\"envoy %n\",\"msg\":\"%j\"}",
                "{\"level\":\"Level\",\"time\":\"2026-11-22T21:42:03.316532Z\",\"scope\":\
                 \"envoy Component\",\"msg\":\"MessageJson\"}",
            ),
            (
                "%L %P %D %R %z %% %E",
                "LevelLetter Process 11/22/26 21:42 +00:00 % 1795383723",
            ),
            ("%^plain%$", "plain"),
        ] {
            assert_eq!(written(pattern), line);
        }
        assert_eq!(LogFormat::parse("%q"), Err("%q is not supported".into()));
        assert_eq!(LogFormat::parse("%-8l"), Err("%- is not supported".into()));
        assert!(LogFormat::parse("100%").is_err());
        assert!(!LogFormat::default().parts.is_empty());
    }
}
