//! A field path → the place in the text it came from.

use super::tree::{Kind, Mark, Node};

/// The mark of the deepest node that `path` leads to: where a field is missing, its message.
pub fn mark(root: &Node<'_>, path: &str) -> Mark {
    let mut node = root;
    let mut mark = root.mark;
    for step in steps(path) {
        let next = match (step, node.kind()) {
            (Step::Field(name), Kind::Map(entries)) => entries
                .iter()
                .find(|entry| is_same_field(&entry.key, name))
                .map(|entry| (&entry.value, entry.mark)),
            (Step::Key(key), Kind::Map(entries)) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| (&entry.value, entry.mark)),
            (Step::Index(index), Kind::List(items)) => {
                items.get(index).map(|item| (item, item.mark))
            }
            // One value that stands for a list of one.
            (Step::Index(0), _) => Some((node, mark)),
            _ => None,
        };
        let Some((next, place)) = next else { break };
        node = next;
        mark = place;
    }
    mark
}

/// The text of the scalar that these fields lead to.
pub fn text<'n>(root: &'n Node<'_>, fields: &[&str]) -> Option<&'n str> {
    let mut node = root;
    for name in fields {
        let Kind::Map(entries) = node.kind() else {
            return None;
        };
        let entry = entries.iter().find(|e| is_same_field(&e.key, name))?;
        node = &entry.value;
    }
    node.text().filter(|_| !node.is_null())
}

#[derive(Debug, PartialEq, Eq)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(String),
}

/// `a.b[0]["k"]` → its steps; stops at what it cannot read.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[\"") {
            let Some((key, after)) = quoted(after) else {
                break;
            };
            steps.push(Step::Key(key));
            rest = after.strip_prefix(']').unwrap_or(after);
        } else if let Some(after) = rest.strip_prefix('[') {
            let Some((index, after)) = after.split_once(']') else {
                break;
            };
            let Ok(index) = index.parse() else { break };
            steps.push(Step::Index(index));
            rest = after;
        } else {
            let rest_of_path = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest_of_path.find(['.', '[']).unwrap_or(rest_of_path.len());
            let Some((field, after)) = rest_of_path.split_at_checked(end) else {
                break;
            };
            steps.push(Step::Field(field));
            rest = after;
        }
    }
    steps
}

/// The text of a string that was written with `{:?}` up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((key, text.get(at.saturating_add(1)..)?)),
            '\\' => key.push(chars.next()?.1),
            c => key.push(c),
        }
    }
    None
}

/// `statPrefix` is `stat_prefix`.
fn is_same_field(key: &str, name: &str) -> bool {
    key == name || {
        let mut camel = String::with_capacity(name.len());
        let mut upper = false;
        for c in name.chars() {
            match c {
                '_' => upper = true,
                c if upper => {
                    camel.push(c.to_ascii_uppercase());
                    upper = false;
                }
                c => camel.push(c),
            }
        }
        key == camel
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tree;

    #[test]
    fn paths_lead_to_places() {
        let text = b"a:\n  bC:\n  - x: 1\n    m: {k.1: {z: 2}}\n  - y: 2\n";
        let root = tree::parse(text).unwrap();
        for (path, line, column) in [
            ("a", 1, 1),
            ("a.b_c", 2, 3),
            ("a.b_c[1]", 5, 5),
            ("a.b_c[0].x", 3, 5),
            ("a.b_c[0].missing", 3, 5),
            ("a.b_c[0].m[\"k.1\"].z", 4, 15),
        ] {
            assert_eq!(mark(&root, path), Mark { line, column }, "{path}");
        }
    }
}
