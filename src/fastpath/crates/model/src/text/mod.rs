//! YAML or JSON text → messages, guided by the descriptors, with every problem at its line.
//!
//! `tree` reads the text into nodes that know their places, `message` turns nodes into messages
//! by the rules of proto3 JSON as Envoy applies them, `locate` finds the node of a field path.

mod any;
mod encode;
mod locate;
mod message;
mod numbers;
mod scalar;
mod suggest;
mod tree;
mod well_known;

pub use encode::encode;
use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::problem::{ConfigProblem, Problem};
use crate::schema::Schema;
use tree::{Mark, Node};

/// A text that was read: keeps the places of everything in it.
#[derive(Debug)]
pub struct Document<'t> {
    file: &'t str,
    root: Node<'t>,
}

impl<'t> Document<'t> {
    /// Reads YAML (and JSON, which is YAML).
    pub fn parse(text: &'t [u8], file: &'t str) -> Result<Self, Vec<ConfigProblem>> {
        match tree::parse(text) {
            Ok(root) => Ok(Self { file, root }),
            Err(tree::TreeError { mark, reason }) => {
                Err(vec![place(file, mark, String::new(), reason)])
            }
        }
    }

    /// The document as a message of this type.
    pub fn message(
        &self,
        schema: &Schema,
        descriptor: &MessageDescriptor,
    ) -> Result<DynamicMessage, Vec<ConfigProblem>> {
        message::convert(schema, descriptor, &self.root).map_err(|problems| {
            let place = |(mark, Problem { path, reason })| place(self.file, mark, path, reason);
            problems.into_iter().map(place).collect()
        })
    }

    /// Gives problems that were found in the message their places in the text.
    #[must_use]
    pub fn locate(&self, problems: Vec<Problem>) -> Vec<ConfigProblem> {
        let place = |Problem { path, reason }| {
            place(self.file, locate::mark(&self.root, &path), path, reason)
        };
        problems.into_iter().map(place).collect()
    }
}

fn place(file: &str, mark: Mark, path: String, reason: String) -> ConfigProblem {
    ConfigProblem {
        file: file.to_owned(),
        line: mark.line,
        column: mark.column,
        path,
        reason,
    }
}
