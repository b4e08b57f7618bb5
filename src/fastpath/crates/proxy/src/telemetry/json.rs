//! JSON strings, as Envoy's serialiser writes them.

/// Appends `text` as a JSON string, quotes included.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    escape(text.as_bytes(), |part| {
        out.push_str(&String::from_utf8_lossy(part))
    });
    out.push('"');
}

/// Appends bytes as a JSON string, quotes included. In what is not UTF-8, every byte that is not
/// plain ASCII becomes `\u00XX`, as in Envoy: nothing is lost and the line stays valid.
pub fn bytes(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if std::str::from_utf8(text).is_ok() {
        escape(text, |part| out.extend_from_slice(part));
    } else {
        for &byte in text {
            if (b' '..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\') {
                out.push(byte);
            } else {
                out.extend_from_slice(&unicode(byte));
            }
        }
    }
    out.push(b'"');
}

/// Calls `emit` with the pieces of the escaped text: as few as possible.
fn escape(text: &[u8], mut emit: impl FnMut(&[u8])) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| needs_escape(b)) {
        let Some((plain, tail)) = rest.split_at_checked(at) else {
            return;
        };
        let Some((&byte, tail)) = tail.split_first() else {
            return;
        };
        emit(plain);
        match byte {
            b'"' => emit(b"\\\""),
            b'\\' => emit(b"\\\\"),
            b'\n' => emit(b"\\n"),
            b'\r' => emit(b"\\r"),
            b'\t' => emit(b"\\t"),
            0x08 => emit(b"\\b"),
            0x0c => emit(b"\\f"),
            other => emit(&unicode(other)),
        }
        rest = tail;
    }
    emit(rest);
}

/// `\u00XX`
fn unicode(byte: u8) -> [u8; 6] {
    let hex = |n: u8| char::from_digit(u32::from(n), 16).map_or(b'0', |c| c as u8);
    [b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_breaks_out_of_a_string() {
        let mut out = Vec::new();
        super::bytes(&mut out, "a\"b\\c\nd\x01ä\x7f".as_bytes());
        assert_eq!(out, "\"a\\\"b\\\\c\\nd\\u0001ä\\u007f\"".as_bytes());
        let mut text = String::new();
        super::string(&mut text, "x\ty");
        assert_eq!(text, "\"x\\ty\"");
    }

    /// Envoy's own output for this header value.
    #[test]
    fn what_is_not_utf8_is_spelled_out() {
        let mut out = Vec::new();
        super::bytes(&mut out, b"a\x80\xff\"\\\tz");
        assert_eq!(out, br#""a\u0080\u00ff\u0022\u005c\u0009z""#);
    }
}
