//! Resources for tests, written as YAML.

use crate::schema;
use crate::text::{self, Document};

/// The bytes of a resource.
pub(crate) fn resource(type_url: &str, yaml: &str) -> Vec<u8> {
    let schema = schema::get();
    let descriptor = schema.message_of_url(type_url).unwrap();
    let document = Document::parse(yaml.as_bytes(), "test").unwrap();
    text::encode(
        &document
            .message(&schema, &descriptor)
            .unwrap_or_else(|p| panic!("{p:?}")),
    )
}
