//! HPACK (RFC 7541): header blocks to fields and back. No I/O; all tables are bounded.
//!
//! A `Decoder` and an `Encoder` belong to one connection each. Neither allocates per field once
//! its table has grown to the size in use.

mod decoder;
mod dynamic_table;
mod encoder;
mod field;
mod huffman;
mod index;
mod integer;
mod policy;
mod static_table;
mod string;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use field::{CheckedField, FieldSink, Name, Pseudo};

use std::fmt;

/// SETTINGS_HEADER_TABLE_SIZE before anybody sends one (RFC 9113 §6.5.2), in bytes.
pub const DEFAULT_TABLE_SIZE: u32 = 4096;

/// Why a header block cannot be decoded. All of them end the connection with
/// COMPRESSION_ERROR (RFC 9113 §4.3): the two tables are no longer the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends within a field.
    Truncated,
    /// An integer that needs more than 32 bits or more than five bytes after its prefix (§5.1).
    IntegerOverflow,
    /// Index 0, or one that neither table has (§2.3.3).
    BadIndex,
    /// EOS inside a string, or padding that is longer than 7 bits or not all ones (§5.2).
    BadHuffman,
    /// A size update beyond what we announced (§6.3).
    TableSizeTooLarge,
    /// A size update after a field, or a third one (§4.2).
    MisplacedTableSizeUpdate,
    /// We lowered the limit and the block does not begin by following (RFC 9113 §4.3.1).
    MissingTableSizeUpdate,
    /// A literal name or value is longer than `Decoder::set_max_string` allows, decoded.
    TooLong,
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HpackError::Truncated => "header block ends within a field",
            HpackError::IntegerOverflow => "integer of more than 32 bits in a header block",
            HpackError::BadIndex => "header block refers to a field that no table has",
            HpackError::BadHuffman => "invalid Huffman code or padding in a header block",
            HpackError::TableSizeTooLarge => "dynamic table size update above the announced limit",
            HpackError::MisplacedTableSizeUpdate => {
                "dynamic table size update after a field, or more than two of them"
            }
            HpackError::MissingTableSizeUpdate => {
                "the table size was lowered and the header block does not begin with an update"
            }
            HpackError::TooLong => "header name or value above the limit",
        })
    }
}

impl std::error::Error for HpackError {}

#[cfg(test)]
mod tests;
