//! The header map: an ordered multimap in one arena, laid out as it goes on the wire.

use crate::chars::{is_token, is_value, trim_ows};
use crate::h2::hpack::CheckedField;
use crate::known::{Known, is_framing_lookalike};
use crate::swar::make_lower;

/// `: ` and CRLF around every value in the arena.
const SEPARATOR: &[u8] = b": ";
const CRLF: &[u8] = b"\r\n";
const FRAME: usize = 2;

/// One field: the arena holds `name: value\r\n` from `off` on. Always: every way in writes
/// it so, which is what lets `write_to` copy runs of fields at once.
#[derive(Clone, Copy, Debug)]
struct Field {
    off: u32,
    value_len: u32,
    name_len: u16,
    known: Known,
    /// It came as a literal that is never to be indexed (RFC 7541 §6.2.3), and leaves as one.
    never_indexed: bool,
}

/// The mark lies where there was padding.
const _: () = assert!(size_of::<Field>() == 12);

impl Field {
    #[inline(always)]
    fn start(self) -> usize {
        self.off as usize
    }

    // Sums of the three below were checked when the field went in: `reserve` refuses a field
    // whose end does not fit a u32.
    #[inline(always)]
    fn name_end(self) -> usize {
        self.start().wrapping_add(self.name_len as usize)
    }

    #[inline(always)]
    fn value_start(self) -> usize {
        self.name_end().wrapping_add(FRAME)
    }

    #[inline(always)]
    fn value_end(self) -> usize {
        self.value_start().wrapping_add(self.value_len as usize)
    }

    #[inline(always)]
    fn end(self) -> usize {
        self.value_end().wrapping_add(FRAME)
    }

    #[inline(always)]
    fn name(self, arena: &[u8]) -> &[u8] {
        if self.known == Known::Other {
            arena.get(self.start()..self.name_end()).unwrap_or_default()
        } else {
            self.known.name().as_bytes()
        }
    }

    #[inline(always)]
    fn value(self, arena: &[u8]) -> &[u8] {
        arena
            .get(self.value_start()..self.value_end())
            .unwrap_or_default()
    }
}

/// A token that no lenient parser takes for a framing field.
fn is_name(name: &[u8]) -> bool {
    is_token(name) && !is_framing_lookalike(name)
}

/// Header fields in order of arrival, names in lower case, duplicates kept (RFC 9110 §5.2).
///
/// Every method that takes bytes refuses (returns `false` and changes nothing) a name that is
/// not a token (or imitates a framing name, `content_length`) and a value with CR, LF, NUL or another control character, so nothing that a
/// filter puts in can split a message. Outer whitespace of values is dropped.
///
/// Reused between messages: `clear` keeps the memory, `shrink` gives it back.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    arena: Vec<u8>,
    fields: Vec<Field>,
    /// One bit per `Known` that is present (bit 0, `Other`, says nothing).
    mask: u128,
}

impl HeaderMap {
    /// An empty map; allocates nothing.
    #[must_use]
    pub const fn new() -> HeaderMap {
        HeaderMap {
            arena: Vec::new(),
            fields: Vec::new(),
            mask: 0,
        }
    }

    /// Removes all fields and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
        self.mask = 0;
    }

    /// Gives memory back if more than `max_capacity` bytes are held. Fields stay.
    pub fn shrink(&mut self, max_capacity: usize) {
        if self.arena.capacity() > max_capacity {
            self.arena.shrink_to(max_capacity);
        }
        // A field in the arena is at least 5 bytes; 16 is what real heads have and more.
        let max_fields = max_capacity / 16;
        if self.fields.capacity() > max_fields {
            self.fields.shrink_to(max_fields);
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.arena
            .capacity()
            .saturating_add(self.fields.capacity().saturating_mul(size_of::<Field>()))
    }

    /// Number of fields, duplicates counted.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Names plus values in bytes, as Envoy's `HeaderMap::byteSize`.
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.fields
            .iter()
            .map(|f| usize::from(f.name_len).saturating_add(f.value_len as usize))
            .fold(0, usize::saturating_add)
    }

    /// All fields in order.
    pub fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + ExactSizeIterator + Clone + '_ {
        self.fields
            .iter()
            .map(|f| (f.name(&self.arena), f.value(&self.arena)))
    }

    /// All fields in order, with the number of their name.
    pub fn iter_known(
        &self,
    ) -> impl DoubleEndedIterator<Item = (Known, &[u8], &[u8])> + ExactSizeIterator + Clone + '_
    {
        self.fields
            .iter()
            .map(|f| (f.known, f.name(&self.arena), f.value(&self.arena)))
    }

    /// `iter_known`, and whether the field must not enter the table of a hop (RFC 7541 §7.1.3).
    #[inline]
    pub(crate) fn iter_marked(&self) -> impl Iterator<Item = (Known, &[u8], &[u8], bool)> + '_ {
        self.fields.iter().map(|f| {
            let (name, value) = (f.name(&self.arena), f.value(&self.arena));
            (f.known, name, value, f.never_indexed)
        })
    }

    /// Marks the field that was appended last as one that no hop may index.
    #[cold]
    pub(crate) fn mark_last(&mut self) {
        if let Some(field) = self.fields.last_mut() {
            field.never_indexed = true;
        }
    }

    /// One test of one bit.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, known: Known) -> bool {
        self.mask & known.bit() != 0
    }

    /// True if a field named by `mask` (bits of `Known::bit`) is present.
    #[inline(always)]
    pub(crate) fn contains_any(&self, mask: u128) -> bool {
        self.mask & mask != 0
    }

    /// The first value.
    #[inline]
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        if !self.contains(known) {
            return None;
        }
        let field = self.fields.iter().find(|f| f.known == known)?;
        Some(field.value(&self.arena))
    }

    /// All values in order.
    pub fn values(&self, known: Known) -> impl Iterator<Item = &[u8]> + '_ {
        let fields = if self.contains(known) {
            self.fields.as_slice()
        } else {
            &[]
        };
        fields
            .iter()
            .filter(move |f| f.known == known)
            .map(|f| f.value(&self.arena))
    }

    /// Number of fields of that name.
    #[must_use]
    pub fn count(&self, known: Known) -> usize {
        self.values(known).count()
    }

    /// The first value; `name` in lower case.
    #[inline]
    #[must_use]
    pub fn get_name(&self, name: &[u8]) -> Option<&[u8]> {
        match Known::of(name) {
            Known::Other => self.others(name).next().map(|f| f.value(&self.arena)),
            known => self.get(known),
        }
    }

    /// All values in order; `name` in lower case.
    pub fn values_name<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        let known = Known::of(name);
        self.fields
            .iter()
            .filter(move |f| {
                f.known == known && (known != Known::Other || f.name(&self.arena) == name)
            })
            .map(|f| f.value(&self.arena))
    }

    fn others<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a Field> + 'a {
        self.fields
            .iter()
            .filter(move |f| f.known == Known::Other && f.name(&self.arena) == name)
    }

    /// Appends a field. The name may be in any case.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> bool {
        is_name(name) && is_value(value) && self.push_checked(name, trim_ows(value))
    }

    /// Appends a field.
    pub fn push_known(&mut self, known: Known, value: &[u8]) -> bool {
        if known == Known::Other || !is_value(value) {
            return false;
        }
        match self.store_lower(known, known.name().as_bytes(), trim_ows(value)) {
            Some(field) => self.append(field),
            None => false,
        }
    }

    /// Puts a field before all others (`host`, RFC 9110 §7.2: good practice to send it first).
    pub fn push_known_first(&mut self, known: Known, value: &[u8]) -> bool {
        if !self.push_known(known, value) {
            return false;
        }
        self.fields.rotate_right(1);
        true
    }

    /// Replaces all fields of that name by one, at the place of the first; appends if there is none.
    pub fn set(&mut self, known: Known, value: &[u8]) -> bool {
        if known == Known::Other {
            return false;
        }
        if !self.contains(known) {
            return self.push_known(known, value);
        }
        is_value(value) && self.replace(known, known.name().as_bytes(), trim_ows(value))
    }

    /// `set` for any name, in any case.
    pub fn set_name(&mut self, name: &[u8], value: &[u8]) -> bool {
        if !is_name(name) || !is_value(value) {
            return false;
        }
        let known = Known::of_any_case(name);
        if known != Known::Other {
            return self.set(known, value);
        }
        let lower = name.to_ascii_lowercase();
        if self.others(&lower).next().is_none() {
            return self.push_checked(&lower, trim_ows(value));
        }
        self.replace(Known::Other, &lower, trim_ows(value))
    }

    /// Joins `value` to the value that is there (`x-forwarded-for: a` and `, ` and `b`), or
    /// appends the field. Several fields of that name become one first, at the place of the first.
    pub fn append_value(&mut self, known: Known, separator: &[u8], value: &[u8]) -> bool {
        if known == Known::Other || !is_value(separator) || !is_value(value) {
            return false;
        }
        if !self.contains(known) {
            return self.push_known(known, value);
        }
        let value = trim_ows(value);
        let name = known.name().as_bytes();
        let joined = self
            .values(known)
            .map(|v| v.len().saturating_add(separator.len()))
            .fold(value.len(), usize::saturating_add);
        let Some(mut field) = self.reserve(known, name, joined) else {
            return false;
        };
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(SEPARATOR);
        for old in self.fields.iter().filter(|f| f.known == known) {
            if old.value_len > 0 {
                self.arena
                    .extend_from_within(old.value_start()..old.value_end());
                self.arena.extend_from_slice(separator);
            }
        }
        self.arena.extend_from_slice(value);
        let value_len = self.arena.len().saturating_sub(field.value_start());
        field.value_len = u32::try_from(value_len).unwrap_or(field.value_len);
        self.arena.extend_from_slice(CRLF);
        self.put_in_place(known, name, field);
        true
    }

    /// Removes all fields of that name; says whether there was one.
    pub fn remove(&mut self, known: Known) -> bool {
        if known == Known::Other || !self.contains(known) {
            return false;
        }
        self.fields.retain(|f| f.known != known);
        self.mask &= !known.bit();
        true
    }

    /// Removes all fields of that name (lower case); says whether there was one.
    pub fn remove_name(&mut self, name: &[u8]) -> bool {
        match Known::of(name) {
            Known::Other => {
                let before = self.fields.len();
                let arena = &self.arena;
                self.fields
                    .retain(|f| f.known != Known::Other || f.name(arena) != name);
                self.fields.len() != before
            }
            known => self.remove(known),
        }
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8], &[u8]) -> bool) {
        let HeaderMap {
            arena,
            fields,
            mask,
        } = self;
        *mask = 0;
        fields.retain(|f| {
            let kept = keep(f.known, f.name(arena), f.value(arena));
            if kept {
                *mask |= f.known.bit();
            }
            kept
        });
    }

    /// Appends `name: value\r\n` for every field: one copy for each run of fields that still
    /// lie next to each other, which is one copy in all for a map that nobody changed.
    #[inline]
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.write_runs(out, |_| false);
    }

    /// `write_to` without the fields whose bit is in `mask`.
    #[inline]
    pub(crate) fn write_without(&self, mask: u128, out: &mut Vec<u8>) {
        if self.contains_any(mask) {
            self.write_runs(out, |f| f.known.bit() & mask != 0);
        } else {
            self.write_runs(out, |_| false);
        }
    }

    /// `write_to` of the fields for which `keep` says so.
    pub(crate) fn write_if(&self, keep: impl Fn(Known, &[u8]) -> bool, out: &mut Vec<u8>) {
        self.write_runs(out, |f| !keep(f.known, f.name(&self.arena)));
    }

    /// An upper bound of what `write_to` appends.
    #[inline(always)]
    pub(crate) fn wire_size(&self) -> usize {
        self.arena.len()
    }

    #[inline(always)]
    fn write_runs(&self, out: &mut Vec<u8>, skip: impl Fn(&Field) -> bool) {
        let (mut start, mut end) = (0usize, 0usize);
        for f in &self.fields {
            if skip(f) {
                continue;
            }
            if f.start() != end {
                out.extend_from_slice(self.arena.get(start..end).unwrap_or_default());
                start = f.start();
            }
            end = f.end();
        }
        out.extend_from_slice(self.arena.get(start..end).unwrap_or_default());
    }

    /// `push` for a name and a value that are known to be valid and trimmed.
    pub(crate) fn push_checked(&mut self, name: &[u8], value: &[u8]) -> bool {
        match self.store(Known::of_token(name), name, value) {
            Some(field) => self.append(field),
            None => false,
        }
    }

    /// Appends a field from the wire that already looks as it should but for the case of its
    /// name: `line` is `name: value\r\n`, valid, of which `name_len` bytes are the name.
    #[inline(always)]
    pub(crate) fn push_line(&mut self, line: &[u8], name_len: usize) -> Option<Known> {
        let frame = name_len.wrapping_add(FRAME.wrapping_mul(2)); // both are within `line`
        // The number is found in `line`: in the arena the name was just written, and reading it
        // back in other units than it was written in stalls.
        let known = Known::of_token(line.get(..name_len)?);
        let field = self.field(known, name_len, line.len().checked_sub(frame)?)?;
        self.arena.extend_from_slice(line);
        make_lower(self.arena.get_mut(field.start()..field.name_end())?);
        self.append(field);
        Some(field.known)
    }

    /// Appends a field that HPACK found valid when it went into its table: one copy.
    #[inline]
    pub fn push_field(&mut self, checked: CheckedField<'_>) -> bool {
        let (line, name_len) = checked.line();
        let frame = name_len.wrapping_add(FRAME.wrapping_mul(2)); // both are within `line`
        let value_len = line.len().saturating_sub(frame);
        let Some(field) = self.field(checked.known(), name_len, value_len) else {
            return false;
        };
        self.arena.extend_from_slice(line);
        self.append(field)
    }

    #[inline(always)]
    fn append(&mut self, field: Field) -> bool {
        self.mask |= field.known.bit();
        self.fields.push(field);
        true
    }

    /// A field at the end of the arena, if it fits the 32-bit offsets.
    #[inline(always)]
    fn field(&self, known: Known, name_len: usize, value_len: usize) -> Option<Field> {
        let end = self
            .arena
            .len()
            .checked_add(name_len)?
            .checked_add(value_len)?
            .checked_add(4)?;
        u32::try_from(end).ok()?;
        Some(Field {
            off: self.arena.len() as u32,
            value_len: value_len as u32,
            name_len: u16::try_from(name_len).ok()?,
            known,
            never_indexed: false,
        })
    }

    fn reserve(&mut self, known: Known, name: &[u8], value_len: usize) -> Option<Field> {
        let field = self.field(known, name.len(), value_len)?;
        self.arena
            .reserve(field.end().saturating_sub(field.start()));
        Some(field)
    }

    /// Writes `name: value\r\n` at the end of the arena.
    fn store(&mut self, known: Known, name: &[u8], value: &[u8]) -> Option<Field> {
        let field = self.store_lower(known, name, value)?;
        if let Some(stored) = self.arena.get_mut(field.start()..field.name_end()) {
            stored.make_ascii_lowercase();
        }
        Some(field)
    }

    /// The same for a name in lower case.
    #[inline]
    fn store_lower(&mut self, known: Known, name: &[u8], value: &[u8]) -> Option<Field> {
        let field = self.reserve(known, name, value.len())?;
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(SEPARATOR);
        self.arena.extend_from_slice(value);
        self.arena.extend_from_slice(CRLF);
        Some(field)
    }

    /// Appends a field that is valid, trimmed and in lower case: `name` is that of `Known::Other`.
    #[inline]
    pub(crate) fn push_valid(&mut self, known: Known, name: &[u8], value: &[u8]) -> bool {
        match self.store_lower(known, name, value) {
            Some(field) => self.append(field),
            None => false,
        }
    }

    /// Takes the last field back.
    pub(crate) fn pop(&mut self) {
        if let Some(field) = self.fields.pop() {
            self.arena.truncate(field.start());
            if self.fields.iter().all(|f| f.known != field.known) {
                self.mask &= !field.known.bit();
            }
        }
    }

    /// At least one field of that name is there.
    fn replace(&mut self, known: Known, name: &[u8], value: &[u8]) -> bool {
        let arena = &mut self.arena;
        let same = |f: &Field, arena: &[u8]| {
            f.known == known && (known != Known::Other || f.name(arena) == name)
        };
        let Some(first) = self.fields.iter_mut().find(|f| same(f, arena)) else {
            return false;
        };
        // A value that is no longer than the old one goes over it; its CRLF moves up.
        if value.len() <= first.value_len as usize {
            let (from, to) = (
                first.value_start(),
                first.value_start().wrapping_add(value.len()),
            );
            if let Some(old) = arena.get_mut(from..to) {
                old.copy_from_slice(value);
            }
            if let Some(end) = arena.get_mut(to..to.wrapping_add(FRAME)) {
                end.copy_from_slice(CRLF);
            }
            first.value_len = value.len() as u32; // at most the old one
            let field = *first;
            self.put_in_place(known, name, field);
            return true;
        }
        match self.store_lower(known, name, value) {
            Some(field) => {
                self.put_in_place(known, name, field);
                true
            }
            None => false,
        }
    }

    /// The first field of that name becomes `field`, the others go. A mark of any of them stays:
    /// what takes the place of a secret may hold it.
    fn put_in_place(&mut self, known: Known, name: &[u8], mut field: Field) {
        let arena = &self.arena;
        let same = |f: &Field| f.known == known && (known != Known::Other || f.name(arena) == name);
        field.never_indexed = self.fields.iter().any(|f| f.never_indexed && same(f));
        let mut placed = false;
        self.fields.retain_mut(|f| {
            if !same(f) {
                return true;
            }
            *f = field;
            !std::mem::replace(&mut placed, true)
        });
    }
}

impl PartialEq for HeaderMap {
    /// Same fields in the same order.
    fn eq(&self, other: &HeaderMap) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for HeaderMap {}
