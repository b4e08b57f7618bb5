//! Header blocks to fields.

use super::dynamic_table::{DynamicTable, Entry};
use super::field::{CheckedField, FieldSink, NameId, is_valid};
use super::{HpackError, integer, static_table, string};
use crate::known::Known;

/// Envoy's largest field (its HTTP/2 codec ends a connection on more).
const DEFAULT_MAX_STRING: usize = 64 * 1024;

/// A string buffer larger than this is given back after the block. It suffices for coded strings
/// of 5 KiB (8 bytes may come of 5): tokens and cookies as they are.
const KEPT_SCRATCH: usize = 8 * 1024;

/// Size updates in one block: to the smallest size in between and to the last one (§4.2).
const MAX_SIZE_UPDATES: usize = 2;

/// The index of the newest entry of the dynamic table (§2.3.3).
const FIRST_DYNAMIC: usize = static_table::LEN + 1;

// Representations (§6): the bits above the prefix of the first byte.
const INDEXED: u8 = 0x80;
const INCREMENTAL: u8 = 0x40;
const SIZE_UPDATE: u8 = 0x20;
const SIZE_UPDATE_MASK: u8 = 0xe0;
const NEVER_INDEXED: u8 = 0x10;

/// The decoder of one connection.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable<Stored>,
    /// What we announced and the peer acknowledged.
    limit: u32,
    /// The next block must begin with an update to this or less.
    required: Option<u32>,
    max_string: usize,
    /// Where Huffman-coded names and values are decoded.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// What is known of a field in the table.
#[derive(Debug)]
struct Stored {
    id: NameId,
    /// `is_valid` held when it went in.
    valid: bool,
}

/// The name of a literal.
struct LiteralName<'a> {
    id: NameId,
    bytes: &'a [u8],
}

impl<'a> LiteralName<'a> {
    fn of(bytes: &'a [u8]) -> LiteralName<'a> {
        LiteralName {
            id: NameId::of(bytes),
            bytes,
        }
    }
}

impl Decoder {
    /// The peer may use `max_table_size` bytes from the first block on. In HTTP/2 that is
    /// `DEFAULT_TABLE_SIZE`; another size counts from the acknowledgement of our SETTINGS on:
    /// `set_max_table_size`.
    #[must_use]
    pub fn new(max_table_size: u32) -> Decoder {
        Decoder {
            table: DynamicTable::new(max_table_size),
            limit: max_table_size,
            required: None,
            max_string: DEFAULT_MAX_STRING,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// The peer acknowledged this SETTINGS_HEADER_TABLE_SIZE. If it is smaller than the table,
    /// the next block must begin with a size update (RFC 9113 §4.3.1).
    pub fn set_max_table_size(&mut self, n: u32) {
        self.limit = n;
        if (n as usize) < self.table.max() {
            self.required = Some(self.required.map_or(n, |required| required.min(n)));
        }
    }

    /// The longest literal name or value in bytes, decoded; 64 KiB until told otherwise.
    pub fn set_max_string(&mut self, n: usize) {
        self.max_string = n;
    }

    /// Bytes in the dynamic table as RFC 7541 §4.1 counts them.
    #[must_use]
    pub fn table_size(&self) -> usize {
        self.table.size()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.table
            .capacity()
            .saturating_add(self.name.capacity())
            .saturating_add(self.value.capacity())
    }

    /// The dynamic table from the newest entry on.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> + '_ {
        (0..self.table.len())
            .filter_map(|age| self.table.get(age))
            .map(|entry| (self.table.name(entry), self.table.value(entry)))
    }

    /// One whole header block, HEADERS and CONTINUATIONs joined. An error is the end of the
    /// connection; fields before it were given.
    pub fn decode(&mut self, block: &[u8], sink: &mut impl FieldSink) -> Result<(), HpackError> {
        let mut rest = self.size_updates(block)?;
        let mut open = true;
        while let Some(first) = rest.first() {
            rest = if first & INDEXED != 0 {
                self.indexed(rest, &mut open, sink)?
            } else if first & INCREMENTAL != 0 {
                self.literal(rest, true, &mut open, sink)?
            } else if first & SIZE_UPDATE != 0 {
                return Err(HpackError::MisplacedTableSizeUpdate);
            } else {
                self.literal(rest, false, &mut open, sink)?
            };
        }
        for scratch in [&mut self.name, &mut self.value] {
            if scratch.capacity() > KEPT_SCRATCH {
                *scratch = Vec::new();
            }
        }
        Ok(())
    }

    /// Takes the updates at the start of a block (§4.2, §6.3).
    fn size_updates<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], HpackError> {
        let mut rest = block;
        for _ in 0..MAX_SIZE_UPDATES {
            if rest
                .first()
                .is_none_or(|b| b & SIZE_UPDATE_MASK != SIZE_UPDATE)
            {
                break;
            }
            let (size, tail) = integer::decode(rest, 5)?;
            if size > self.limit || self.required.is_some_and(|most| size > most) {
                return Err(HpackError::TableSizeTooLarge);
            }
            self.required = None;
            self.table.set_max(size);
            rest = tail;
        }
        match self.required {
            Some(_) if !rest.is_empty() => Err(HpackError::MissingTableSizeUpdate),
            _ => Ok(rest),
        }
    }

    /// §6.1.
    #[inline(always)]
    fn indexed<'a>(
        &self,
        input: &'a [u8],
        open: &mut bool,
        sink: &mut impl FieldSink,
    ) -> Result<&'a [u8], HpackError> {
        let (index, rest) = integer::decode(input, 7)?;
        let index = index as usize;
        let Some(age) = index.checked_sub(FIRST_DYNAMIC) else {
            let entry = static_table::get(index).ok_or(HpackError::BadIndex)?;
            *open = *open
                && match entry.checked() {
                    Some(field) => sink.checked(field),
                    None => sink.field(entry.id.with(entry.name), entry.value),
                };
            return Ok(rest);
        };
        let entry = self.table.get(age).ok_or(HpackError::BadIndex)?;
        *open = *open && give(&self.table, entry, sink);
        Ok(rest)
    }

    /// A literal, into the table (§6.2.1) or not (§6.2.2, §6.2.3).
    fn literal<'a>(
        &mut self,
        input: &'a [u8],
        store: bool,
        open: &mut bool,
        sink: &mut impl FieldSink,
    ) -> Result<&'a [u8], HpackError> {
        let prefix = if store { 6 } else { 4 };
        let (index, rest) = integer::decode(input, prefix)?;
        let (name, rest) = match index {
            0 => {
                let (text, rest) = string::decode(rest, &mut self.name, self.max_string)?;
                (LiteralName::of(text), rest)
            }
            _ => (indexed_name(index, &self.table, &mut self.name)?, rest),
        };
        let (value, rest) = string::decode(rest, &mut self.value, self.max_string)?;
        if store {
            let stored = Stored {
                id: name.id,
                valid: is_valid(name.id, name.bytes, value),
            };
            if self.table.insert(name.bytes, value, stored)
                && let Some(entry) = self.table.get(0)
            {
                *open = *open && give(&self.table, entry, sink);
                return Ok(rest);
            }
        }
        let is_secret = !store && input.first().is_some_and(|b| b & NEVER_INDEXED != 0);
        let name = name.id.with(name.bytes);
        *open = *open
            && if is_secret {
                sink.never_indexed(name, value)
            } else {
                sink.field(name, value)
            };
        Ok(rest)
    }
}

/// The name of an entry. That of a dynamic one is copied: what the literal puts into the table
/// may evict it (§4.4).
fn indexed_name<'a>(
    index: u32,
    table: &DynamicTable<Stored>,
    scratch: &'a mut Vec<u8>,
) -> Result<LiteralName<'a>, HpackError> {
    let index = index as usize;
    let Some(age) = index.checked_sub(FIRST_DYNAMIC) else {
        let entry = static_table::get(index).ok_or(HpackError::BadIndex)?;
        return Ok(LiteralName {
            id: entry.id,
            bytes: entry.name,
        });
    };
    let entry = table.get(age).ok_or(HpackError::BadIndex)?;
    let id = entry.data.id;
    let bytes = match id {
        NameId::Pseudo(pseudo) => pseudo.name().as_bytes(),
        NameId::Known(known) => known.name().as_bytes(),
        NameId::Other => {
            scratch.clear();
            scratch.extend_from_slice(table.name(entry));
            scratch
        }
    };
    Ok(LiteralName { id, bytes })
}

/// Gives an entry of the dynamic table to the sink.
#[inline(always)]
fn give(table: &DynamicTable<Stored>, entry: &Entry<Stored>, sink: &mut impl FieldSink) -> bool {
    let known = match entry.data.id {
        NameId::Known(known) => known,
        _ => Known::Other,
    };
    if entry.data.valid {
        let line = table.line(entry);
        return sink.checked(CheckedField::new(line, entry.name_len(), known));
    }
    let name = table.name(entry);
    sink.field(entry.data.id.with(name), table.value(entry))
}
