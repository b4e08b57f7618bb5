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
pub use message::UnknownFields;
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
        let read = self.message_and_ignored(schema, descriptor, UnknownFields::Refused);
        read.map(|(message, _)| message)
    }

    /// `message`, and the fields in it that were ignored.
    pub fn message_and_ignored(
        &self,
        schema: &Schema,
        descriptor: &MessageDescriptor,
        unknown: UnknownFields,
    ) -> Result<(DynamicMessage, Vec<ConfigProblem>), Vec<ConfigProblem>> {
        match message::convert(schema, descriptor, &self.root, unknown) {
            Ok((message, ignored)) => Ok((message, self.place(ignored))),
            Err(problems) => Err(self.place(problems)),
        }
    }

    /// The document as a message of this type without its field `list`, and each element of that
    /// list on its own: what is wrong with one leaves the others readable.
    pub fn message_apart(
        &self,
        schema: &Schema,
        descriptor: &MessageDescriptor,
        list: &str,
        unknown: UnknownFields,
    ) -> Result<(DynamicMessage, Vec<Element<'_, 't>>), Vec<ConfigProblem>> {
        let (message, elements) =
            message::convert_apart(schema, descriptor, &self.root, list, unknown)
                .map_err(|problems| self.place(problems))?;
        let elements = elements.into_iter().map(|(node, message)| Element {
            node,
            message: message.map_err(|problems| self.place(problems)),
        });
        Ok((message, elements.collect()))
    }

    fn place(&self, problems: Vec<(Mark, Problem)>) -> Vec<ConfigProblem> {
        let place = |(mark, Problem { path, reason })| place(self.file, mark, path, reason);
        problems.into_iter().map(place).collect()
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

/// An element of a list in a document.
#[derive(Debug)]
pub struct Element<'d, 't> {
    node: &'d Node<'t>,
    /// It, or what is wrong with it.
    pub message: Result<DynamicMessage, Vec<ConfigProblem>>,
}

impl Element<'_, '_> {
    /// The text of the scalar that these fields lead to, even where the message cannot be made.
    #[must_use]
    pub fn text(&self, fields: &[&str]) -> Option<&str> {
        locate::text(self.node, fields)
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
