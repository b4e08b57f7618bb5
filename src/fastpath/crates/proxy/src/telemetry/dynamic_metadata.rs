//! Dynamic metadata of a request: what HTTP filters tell each other, and logs. Nothing in it is
//! copied: keys and texts are those of the configuration.

use std::sync::Arc;

use model::matching::rbac::MetadataValue;

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
}

impl Key {
    fn as_str(&self) -> &str {
        match self {
            Self::Fixed(text) => text,
            Self::Given(text) => text,
        }
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
        let found = self.0.iter().find(same)?;
        Some(match &found.value {
            Value::Fixed(text) => MetadataValue::Text(text),
            Value::Given(text) => MetadataValue::Text(text),
            Value::Flag(flag) => MetadataValue::Bool(*flag),
        })
    }

    /// Forgets all of it and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
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
        metadata.clear();
        assert_eq!(metadata.get("n", "k"), None);
    }
}
