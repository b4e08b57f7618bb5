//! Dynamic metadata of a request: what HTTP filters tell each other, and logs. What is not from
//! outside is not copied: keys and texts are those of the configuration.

use std::sync::Arc;

use model::matching::Metadata;
use model::matching::metadata::{MetadataValue, Structured};

#[derive(Debug, Clone, Default)]
pub struct DynamicMetadata(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    namespace: &'static str,
    key: Key,
    value: Value,
}

#[derive(Debug, Clone)]
pub enum Key {
    Fixed(&'static str),
    Given(Arc<str>),
}

#[derive(Debug, Clone)]
pub enum Value {
    Fixed(&'static str),
    Given(Arc<str>),
    Flag(bool),
    /// What a server outside has said.
    Said(Arc<Structured>),
}

impl Key {
    fn as_str(&self) -> &str {
        match self {
            Self::Fixed(text) => text,
            Self::Given(text) => text,
        }
    }
}

impl Value {
    fn at(&self, path: &[Box<str>]) -> Option<MetadataValue<'_>> {
        let plain = match self {
            Self::Fixed(text) => MetadataValue::Text(text),
            Self::Given(text) => MetadataValue::Text(text),
            Self::Flag(flag) => MetadataValue::Bool(*flag),
            Self::Said(said) => return said.at(path),
        };
        path.is_empty().then_some(plain)
    }
}

impl DynamicMetadata {
    /// Sets a value, in place of what is there.
    pub fn set(&mut self, namespace: &'static str, key: Key, value: Value) {
        let same =
            |entry: &&mut Entry| entry.namespace == namespace && entry.key.as_str() == key.as_str();
        match self.0.iter_mut().find(same) {
            Some(entry) => entry.value = value,
            None => self.0.push(Entry {
                namespace,
                key,
                value,
            }),
        }
    }

    #[must_use]
    pub fn get(&self, namespace: &str, key: &str) -> Option<MetadataValue<'_>> {
        let same = |entry: &&Entry| entry.namespace == namespace && entry.key.as_str() == key;
        self.0.iter().find(same)?.value.at(&[])
    }

    /// What is at a path of keys, one inside the other.
    #[must_use]
    pub fn at(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>> {
        let (key, rest) = path.split_first()?;
        let same = |entry: &&Entry| entry.namespace == namespace && entry.key.as_str() == &**key;
        self.0.iter().find(same)?.value.at(rest)
    }

    /// All of a namespace.
    pub fn all<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a str, MetadataValue<'a>)> + 'a {
        let of_it = self
            .0
            .iter()
            .filter(move |entry| entry.namespace == namespace);
        of_it.filter_map(|entry| Some((entry.key.as_str(), entry.value.at(&[])?)))
    }

    /// Forgets all of it and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Metadata for DynamicMetadata {
    fn at(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>> {
        self.at(namespace, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_counts() {
        let mut metadata = DynamicMetadata::default();
        metadata.set("n", Key::Fixed("k"), Value::Fixed("1"));
        metadata.set("n", Key::Given("k".into()), Value::Given("2".into()));
        metadata.set("m", Key::Fixed("k"), Value::Flag(true));
        assert_eq!(metadata.get("n", "k"), Some(MetadataValue::Text("2")));
        assert_eq!(metadata.get("m", "k"), Some(MetadataValue::Bool(true)));
        assert_eq!(metadata.get("n", "other"), None);
        let inner = Structured::Struct([("x".into(), Structured::Text("3".into()))].into());
        metadata.set("n", Key::Given("in".into()), Value::Said(inner.into()));
        let at = |path: &[&str]| {
            let path: Vec<Box<str>> = path.iter().map(|key| Box::from(*key)).collect();
            metadata.at("n", &path)
        };
        assert_eq!(at(&["in", "x"]), Some(MetadataValue::Text("3")));
        assert_eq!(at(&["k"]), Some(MetadataValue::Text("2")));
        assert_eq!(at(&["k", "x"]), None);
        assert_eq!(at(&[]), None);
        let keys: Vec<_> = metadata.all("n").map(|(key, _)| key).collect();
        assert_eq!(keys, ["k", "in"]);
        metadata.clear();
        assert_eq!(metadata.get("n", "k"), None);
    }
}
