//! Which HTTP a plain connection starts with.
//!
//! The verdicts are those of Envoy 1.40's HTTP inspector, whose parser counts every byte up to the
//! space as a separator.

use crate::chars;

/// RFC 9113, 3.4.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A first line of this length without an end is refused.
pub const MAX_BYTES: usize = 64 * 1024;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    NeedMore,
    /// Any version but 1.1 and the preface of HTTP/2.
    Http10,
    Http11,
    /// The preface of HTTP/2.
    H2c,
    /// Not HTTP.
    None,
    /// No end of line within [`MAX_BYTES`].
    TooLong,
}

impl Found {
    /// The name that filter chains match it by.
    #[must_use]
    pub fn application_protocol(self) -> Option<&'static [u8]> {
        match self {
            Self::Http10 => Some(b"http/1.0"),
            Self::Http11 => Some(b"http/1.1"),
            Self::H2c => Some(b"h2c"),
            Self::NeedMore | Self::None | Self::TooLong => None,
        }
    }
}

/// Looks for HTTP at the start of a connection. It keeps what has been looked at.
#[derive(Debug, Default)]
pub struct Inspector {
    /// So many bytes hold no end of line.
    searched: usize,
    /// The first word has ended, and may be a method.
    past_method: bool,
}

impl Inspector {
    /// `bytes`: all there is since the start of the connection.
    pub fn look(&mut self, bytes: &[u8]) -> Found {
        if bytes.is_empty() {
            return Found::NeedMore;
        }
        let seen = bytes.len().min(H2_PREFACE.len());
        if bytes.get(..seen) == H2_PREFACE.get(..seen) {
            let whole = seen == H2_PREFACE.len();
            return if whole { Found::H2c } else { Found::NeedMore };
        }
        let within = bytes.get(..MAX_BYTES).unwrap_or(bytes);
        let unseen = within.get(self.searched..).unwrap_or_default();
        if let Some(end) = memchr::memchr(b'\n', unseen) {
            let line = within.get(..self.searched.saturating_add(end));
            return version(line.unwrap_or_default());
        }
        if !self.past_method && !self.may_be_method(unseen) {
            return Found::None;
        }
        self.searched = within.len();
        if within.len() == MAX_BYTES {
            return Found::TooLong;
        }
        Found::NeedMore
    }

    /// Whether the first word may still be a method; `unseen`: what has come of it, and more.
    fn may_be_method(&mut self, unseen: &[u8]) -> bool {
        let end = unseen.iter().position(|b| is_separator(*b));
        let is_empty = self.searched == 0 && end == Some(0);
        self.past_method = end.is_some();
        let word = unseen.get(..end.unwrap_or(unseen.len()));
        !is_empty
            && word
                .unwrap_or_default()
                .iter()
                .all(|b| chars::is_token_char(*b))
    }
}

/// Of a line without its LF.
fn version(line: &[u8]) -> Found {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.first().is_none_or(|b| is_separator(*b)) {
        return Found::None;
    }
    let ends_in_separator = line.last().is_some_and(|b| is_separator(*b));
    let mut words = line.split(|b| is_separator(*b)).filter(|w| !w.is_empty());
    let (method, target, version) = (words.next(), words.next(), words.next());
    let target_is_text = target.is_some_and(|t| t.iter().all(|b| (b'!'..=b'~').contains(b)));
    if !method.is_some_and(chars::is_token) || !target_is_text || words.next().is_some() {
        return Found::None;
    }
    match version {
        Some(b"HTTP/1.1") => Found::Http11,
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Found::Http10
        }
        // As HTTP/0.9 has it.
        None if !ends_in_separator => Found::Http10,
        _ => Found::None,
    }
}

fn is_separator(byte: u8) -> bool {
    byte <= b' '
}
