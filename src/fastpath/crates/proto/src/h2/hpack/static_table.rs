//! The static table (RFC 7541 appendix A), its names resolved by the compiler.

use super::field::{CheckedField, NameId, Pseudo};
use super::index::name_hash;
use crate::known::Known;

/// Number of entries; dynamic indices follow.
pub(super) const LEN: usize = 61;

pub(super) struct Entry {
    pub id: NameId,
    pub name: &'static [u8],
    pub value: &'static [u8],
    /// `name: value\r\n`.
    line: &'static [u8],
}

macro_rules! entries {
    ($($id:tt $variant:ident $name:literal $value:literal,)*) => {
        static ENTRIES: [Entry; LEN] = [$(Entry {
            id: id!($id $variant),
            name: $name.as_bytes(),
            value: $value.as_bytes(),
            line: concat!($name, ": ", $value, "\r\n").as_bytes(),
        },)*];
    };
}

macro_rules! id {
    (p $pseudo:ident) => {
        NameId::Pseudo(Pseudo::$pseudo)
    };
    (k Other) => {
        NameId::Other
    };
    (k $known:ident) => {
        NameId::Known(Known::$known)
    };
}

entries! {
    p Authority ":authority" "",
    p Method ":method" "GET",
    p Method ":method" "POST",
    p Path ":path" "/",
    p Path ":path" "/index.html",
    p Scheme ":scheme" "http",
    p Scheme ":scheme" "https",
    p Status ":status" "200",
    p Status ":status" "204",
    p Status ":status" "206",
    p Status ":status" "304",
    p Status ":status" "400",
    p Status ":status" "404",
    p Status ":status" "500",
    k Other "accept-charset" "",
    k AcceptEncoding "accept-encoding" "gzip, deflate",
    k AcceptLanguage "accept-language" "",
    k Other "accept-ranges" "",
    k Accept "accept" "",
    k AccessControlAllowOrigin "access-control-allow-origin" "",
    k Other "age" "",
    k Allow "allow" "",
    k Authorization "authorization" "",
    k CacheControl "cache-control" "",
    k Other "content-disposition" "",
    k ContentEncoding "content-encoding" "",
    k Other "content-language" "",
    k ContentLength "content-length" "",
    k Other "content-location" "",
    k Other "content-range" "",
    k ContentType "content-type" "",
    k Cookie "cookie" "",
    k Date "date" "",
    k Etag "etag" "",
    k Expect "expect" "",
    k Other "expires" "",
    k Other "from" "",
    k Host "host" "",
    k Other "if-match" "",
    k Other "if-modified-since" "",
    k Other "if-none-match" "",
    k Other "if-range" "",
    k Other "if-unmodified-since" "",
    k LastModified "last-modified" "",
    k Other "link" "",
    k Location "location" "",
    k Other "max-forwards" "",
    k ProxyAuthenticate "proxy-authenticate" "",
    k ProxyAuthorization "proxy-authorization" "",
    k Range "range" "",
    k Referer "referer" "",
    k Other "refresh" "",
    k RetryAfter "retry-after" "",
    k Server "server" "",
    k SetCookie "set-cookie" "",
    k Other "strict-transport-security" "",
    k TransferEncoding "transfer-encoding" "",
    k UserAgent "user-agent" "",
    k Vary "vary" "",
    k Via "via" "",
    k WwwAuthenticate "www-authenticate" "",
}

/// The entry at `index`, from 1.
#[inline(always)]
pub(super) fn get(index: usize) -> Option<&'static Entry> {
    ENTRIES.get(index.wrapping_sub(1))
}

impl Entry {
    /// The entry as a sink takes it, if it is no pseudo-header.
    #[inline(always)]
    pub(super) fn checked(&self) -> Option<CheckedField<'static>> {
        let known = match self.id {
            NameId::Pseudo(_) => return None,
            NameId::Known(known) => known,
            NameId::Other => Known::Other,
        };
        Some(CheckedField::new(self.line, self.name.len(), known))
    }
}

/// The index of a name that has a number; 0 if it is not in the table.
#[inline(always)]
pub(super) fn index_of_known(known: Known) -> usize {
    usize::from(BY_KNOWN.get(known as usize).copied().unwrap_or_default())
}

/// The index of a name without a number, by its `name_hash`; 0 if it is not in the table.
#[inline(always)]
pub(super) fn index_of_other(hash: u32, name: &[u8]) -> usize {
    let slot = BY_HASH.get(other_slot(hash)).copied().unwrap_or_default();
    let index = usize::from(slot);
    match get(index) {
        Some(entry) if entry.name == name => index,
        _ => 0,
    }
}

/// The first index of a pseudo-header; 0 for `:protocol`.
#[inline(always)]
pub(super) fn index_of_pseudo(pseudo: Pseudo) -> usize {
    match pseudo {
        Pseudo::Authority => 1,
        Pseudo::Method => 2,
        Pseudo::Path => 4,
        Pseudo::Scheme => 6,
        Pseudo::Status => 8,
        Pseudo::Protocol => 0,
    }
}

/// The index of a pseudo-header with its value; 0 if the table does not have it.
#[inline(always)]
pub(super) fn index_of_pseudo_field(pseudo: Pseudo, value: &[u8]) -> usize {
    match (pseudo, value) {
        (Pseudo::Authority, b"") => 1,
        (Pseudo::Method, b"GET") => 2,
        (Pseudo::Method, b"POST") => 3,
        (Pseudo::Path, b"/") => 4,
        (Pseudo::Path, b"/index.html") => 5,
        (Pseudo::Scheme, b"http") => 6,
        (Pseudo::Scheme, b"https") => 7,
        (Pseudo::Status, b"200") => 8,
        (Pseudo::Status, b"204") => 9,
        (Pseudo::Status, b"206") => 10,
        (Pseudo::Status, b"304") => 11,
        (Pseudo::Status, b"400") => 12,
        (Pseudo::Status, b"404") => 13,
        (Pseudo::Status, b"500") => 14,
        _ => 0,
    }
}

/// One slot per `Known`.
static BY_KNOWN: [u8; 128] = by_known();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // by the compiler
const fn by_known() -> [u8; 128] {
    let mut table = [0u8; 128];
    let mut i = LEN;
    while i > 0 {
        if let NameId::Known(known) = ENTRIES[i - 1].id {
            table[known as usize] = i as u8;
        }
        i -= 1;
    }
    table
}

const OTHER_SLOTS: usize = 256;

/// The 18 names without a number, each in a slot of its own.
static BY_HASH: [u8; OTHER_SLOTS] = by_hash();

#[inline(always)]
const fn other_slot(hash: u32) -> usize {
    hash as usize % OTHER_SLOTS
}

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // by the compiler
const fn by_hash() -> [u8; OTHER_SLOTS] {
    let mut table = [0u8; OTHER_SLOTS];
    let mut i = 1;
    while i <= LEN {
        if matches!(ENTRIES[i - 1].id, NameId::Other) {
            let slot = other_slot(name_hash(ENTRIES[i - 1].name));
            assert!(table[slot] == 0, "two names share a slot: change `SEED`");
            table[slot] = i as u8;
        }
        i += 1;
    }
    table
}
