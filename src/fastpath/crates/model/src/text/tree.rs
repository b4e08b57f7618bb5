//! Text → a tree of nodes with their places; bounded in size, depth and alias expansion.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

/// Far above any real bootstrap; keeps a wrong path (a disk image) from being read as YAML.
const MAX_BYTES: usize = 64 << 20;
/// Protobuf's own limit of nesting.
const MAX_DEPTH: usize = 100;
/// Nodes that aliases may add ("billion laughs").
const MAX_ALIAS_NODES: usize = 1 << 20;

/// 1-based line and column (in characters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    pub line: u32,
    pub column: u32,
}

#[derive(Debug, Clone)]
pub struct Node<'t> {
    pub mark: Mark,
    pub kind: Kind<'t>,
}

#[derive(Debug, Clone)]
pub enum Kind<'t> {
    /// A scalar; `plain` if it was not quoted and so may be a number, a boolean or null.
    Scalar {
        text: Cow<'t, str>,
        plain: bool,
    },
    List(Vec<Node<'t>>),
    Map(Vec<Entry<'t>>),
    /// An alias: the node it stands for.
    Shared(Rc<Node<'t>>),
}

#[derive(Debug, Clone)]
pub struct Entry<'t> {
    pub key: Cow<'t, str>,
    pub mark: Mark,
    pub value: Node<'t>,
}

#[derive(Debug)]
pub struct TreeError {
    pub mark: Mark,
    pub reason: String,
}

impl Node<'_> {
    /// A plain `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, plain: true } => {
                matches!(&**text, "" | "~" | "null" | "Null" | "NULL")
            }
            Kind::Shared(node) => node.is_null(),
            _ => false,
        }
    }
}

impl<'t> Node<'t> {
    /// A scalar's text.
    pub fn text(&self) -> Option<&str> {
        match self.kind() {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Its kind, through aliases.
    pub fn kind(&self) -> &Kind<'t> {
        match &self.kind {
            Kind::Shared(node) => node.kind(),
            kind => kind,
        }
    }
}

/// Reads the one document of a text.
pub fn parse(text: &[u8]) -> Result<Node<'_>, TreeError> {
    let start = Mark { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        let reason = format!("{} bytes: the limit is {MAX_BYTES}", text.len());
        return Err(TreeError {
            mark: start,
            reason,
        });
    }
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(text, &error))?;
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, span) = event.map_err(|error| TreeError {
            mark: mark(*error.marker()),
            reason: format!("not YAML: {}", error.info()),
        })?;
        builder.event(event, span)?;
    }
    let nothing = || TreeError {
        mark: start,
        reason: "the document is empty".to_owned(),
    };
    builder.root.ok_or_else(nothing)
}

fn not_utf8(text: &[u8], error: &std::str::Utf8Error) -> TreeError {
    let (valid, _) = text
        .split_at_checked(error.valid_up_to())
        .unwrap_or_default();
    let line = valid
        .iter()
        .filter(|b| **b == b'\n')
        .count()
        .saturating_add(1);
    let last = valid.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(last)
        .chars()
        .count()
        .saturating_add(1);
    let mark = Mark {
        line: narrow(line),
        column: narrow(column),
    };
    TreeError {
        mark,
        reason: "not UTF-8".to_owned(),
    }
}

fn mark(marker: Marker) -> Mark {
    Mark {
        line: narrow(marker.line()),
        column: narrow(marker.col().saturating_add(1)),
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A collection that is not closed yet.
struct Open<'t> {
    node: Node<'t>,
    /// A map's key that waits for its value.
    key: Option<(Cow<'t, str>, Mark)>,
    anchor: usize,
    /// Nodes inside, itself included.
    size: usize,
    keys: Keys,
}

#[derive(Default)]
struct Builder<'t> {
    open: Vec<Open<'t>>,
    anchors: HashMap<usize, (Rc<Node<'t>>, usize)>,
    alias_nodes: usize,
    root: Option<Node<'t>>,
}

impl<'t> Builder<'t> {
    fn event(&mut self, event: Event<'t>, span: Span) -> Result<(), TreeError> {
        let mark = mark(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !is_string_tag(tag.as_deref());
                let node = Node {
                    mark,
                    kind: Kind::Scalar { text, plain },
                };
                self.complete(node, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.start(mark, Kind::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.start(mark, Kind::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.complete(open.node, open.anchor, open.size),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(mark, anchor),
            Event::DocumentStart(_) if self.root.is_some() => Err(TreeError {
                mark,
                reason: "more than one YAML document".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn start(&mut self, mark: Mark, kind: Kind<'t>, anchor: usize) -> Result<(), TreeError> {
        if self.open.len() >= MAX_DEPTH {
            let reason = format!("nested more than {MAX_DEPTH} deep");
            return Err(TreeError { mark, reason });
        }
        if self
            .open
            .last()
            .is_some_and(|o| o.key.is_none() && matches!(o.node.kind, Kind::Map(_)))
        {
            return Err(TreeError {
                mark,
                reason: "a key must be a string".to_owned(),
            });
        }
        let node = Node { mark, kind };
        self.open.push(Open {
            node,
            key: None,
            anchor,
            size: 1,
            keys: Keys::default(),
        });
        Ok(())
    }

    fn alias(&mut self, mark: Mark, anchor: usize) -> Result<(), TreeError> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            // Inside its own anchor.
            return Err(TreeError {
                mark,
                reason: "an alias to what contains it".to_owned(),
            });
        };
        let (node, size) = (Rc::clone(node), *size);
        self.alias_nodes = self.alias_nodes.saturating_add(size);
        if self.alias_nodes > MAX_ALIAS_NODES {
            let reason = format!("aliases add more than {MAX_ALIAS_NODES} values");
            return Err(TreeError { mark, reason });
        }
        let depth = self.open.len().saturating_add(depth(&node));
        if depth > MAX_DEPTH {
            let reason = format!("nested more than {MAX_DEPTH} deep");
            return Err(TreeError { mark, reason });
        }
        // Its own place: where the alias is written. What is inside keeps the anchor's places.
        self.complete(
            Node {
                mark,
                kind: Kind::Shared(node),
            },
            0,
            size,
        )
    }

    /// A node is complete: it goes where it belongs.
    fn complete(&mut self, node: Node<'t>, anchor: usize, size: usize) -> Result<(), TreeError> {
        let node = if anchor > 0 {
            let shared = Rc::new(node);
            self.anchors.insert(anchor, (Rc::clone(&shared), size));
            Node {
                mark: shared.mark,
                kind: Kind::Shared(shared),
            }
        } else {
            node
        };
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.size = parent.size.saturating_add(size);
        match &mut parent.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match parent.key.take() {
                Some((key, mark)) => entries.push(Entry {
                    key,
                    mark,
                    value: node,
                }),
                None => {
                    let mark = node.mark;
                    let key = key_text(node)?;
                    if parent.keys.is_repeated(entries, &key) {
                        let reason = format!("the key {key:?} is given twice");
                        return Err(TreeError { mark, reason });
                    }
                    parent.key = Some((key, mark));
                }
            },
            Kind::Scalar { .. } | Kind::Shared(_) => {}
        }
        Ok(())
    }
}

/// The keys of a map that is too long to scan. Maps are short: scanning beats hashing.
#[derive(Default)]
struct Keys(HashSet<Box<str>>);

impl Keys {
    /// Whether `key` is among the entries, before it becomes one.
    fn is_repeated(&mut self, entries: &[Entry<'_>], key: &str) -> bool {
        if entries.len() < 32 {
            return entries.iter().any(|entry| entry.key == key);
        }
        if self.0.is_empty() {
            self.0
                .extend(entries.iter().map(|entry| Box::from(&*entry.key)));
        }
        !self.0.insert(key.into())
    }
}

fn key_text(node: Node<'_>) -> Result<Cow<'_, str>, TreeError> {
    match node.kind {
        Kind::Scalar { text, .. } => Ok(text),
        Kind::Shared(shared) => key_text((*shared).clone()),
        _ => Err(TreeError {
            mark: node.mark,
            reason: "a key must be a string".to_owned(),
        }),
    }
}

fn depth(node: &Node<'_>) -> usize {
    let inside = match &node.kind {
        Kind::Scalar { .. } => return 0,
        Kind::Shared(node) => return depth(node),
        Kind::List(items) => items.iter().map(depth).max(),
        Kind::Map(entries) => entries.iter().map(|entry| depth(&entry.value)).max(),
    };
    inside.unwrap_or(0).saturating_add(1)
}

/// `!!str 80` and `! 80` are strings; other tags are ignored, as Envoy ignores them.
fn is_string_tag(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| {
        (tag.is_yaml_core_schema() && tag.suffix == "str")
            || (tag.handle.is_empty() && tag.suffix == "!")
    })
}
