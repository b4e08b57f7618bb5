//! JSON strings, as Envoy's serialiser writes them.

/// Appends `text` as a JSON string, quotes included.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    escape(text.as_bytes(), |part| {
        out.push_str(&String::from_utf8_lossy(part))
    });
    out.push('"');
}

/// Appends bytes as a JSON string, quotes included; what is not UTF-8 becomes U+FFFD.
pub fn bytes(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    inner(out, text);
    out.push(b'"');
}

/// The same without quotes.
pub fn inner(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        escape(chunk.valid().as_bytes(), |part| out.extend_from_slice(part));
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
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
            other => {
                let hex = |n: u8| char::from_digit(u32::from(n), 16).map_or(b'0', |c| c as u8);
                emit(&[b'\\', b'u', b'0', b'0', hex(other >> 4), hex(other & 15)]);
            }
        }
        rest = tail;
    }
    emit(rest);
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_breaks_out_of_a_string() {
        let mut out = Vec::new();
        super::bytes(&mut out, b"a\"b\\c\nd\x01\xff\xc3\xa4\x7f");
        assert_eq!(out, "\"a\\\"b\\\\c\\nd\\u0001\u{fffd}ä\\u007f\"".as_bytes());
        let mut text = String::new();
        super::string(&mut text, "x\ty");
        assert_eq!(text, "\"x\\ty\"");
    }
}
