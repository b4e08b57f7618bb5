//! Request targets (RFC 9112 §3.2).

use super::error::HeadError;
use crate::authority::{is_authority, split_port};
use crate::chars::is_target;
use crate::head::Scheme;
use crate::method::Method;

/// The form of a valid target.
pub(crate) enum Form {
    /// `/path?query`, and `*`.
    Origin,
    /// `host:port`, of CONNECT.
    Authority,
    /// `http://host/path`: the last `path_len` bytes are path and query; `rooted` if they start with `/`.
    Absolute {
        scheme: Scheme,
        path_len: usize,
        rooted: bool,
    },
}

/// The authority in a target of the given form.
pub(crate) fn authority_of<'a>(target: &'a [u8], form: &Form) -> Option<&'a [u8]> {
    match form {
        Form::Origin => None,
        Form::Authority => Some(target),
        Form::Absolute {
            scheme, path_len, ..
        } => {
            let start = scheme.as_bytes().len().saturating_add(b"://".len());
            target.get(start..target.len().checked_sub(*path_len)?)
        }
    }
}

/// Says which form `target` has, or why it has none. Visible ASCII only, no fragment.
#[inline(always)]
pub(crate) fn form(target: &[u8], method: Method) -> Result<Form, HeadError> {
    if !is_target(target) {
        return Err(HeadError::Target);
    }
    match target {
        _ if method == Method::Connect => connect(target),
        [b'/', ..] => Ok(Form::Origin),
        b"*" if method == Method::Options => Ok(Form::Origin),
        _ => absolute(target),
    }
}

/// RFC 9110 §9.3.6: host and port, nothing else.
fn connect(target: &[u8]) -> Result<Form, HeadError> {
    match split_port(target) {
        Some((_, Some(port))) if !port.is_empty() && is_authority(target) => Ok(Form::Authority),
        _ => Err(HeadError::Target),
    }
}

fn absolute(target: &[u8]) -> Result<Form, HeadError> {
    let colon = memchr::memchr(b':', target).ok_or(HeadError::Target)?;
    let (name, rest) = target.split_at_checked(colon).ok_or(HeadError::Target)?;
    let rest = rest.strip_prefix(b"://").ok_or(HeadError::Target)?;
    let scheme = if name.eq_ignore_ascii_case(b"http") {
        Scheme::Http
    } else if name.eq_ignore_ascii_case(b"https") {
        Scheme::Https
    } else if !name.is_empty() && name.iter().all(u8::is_ascii_alphabetic) {
        return Err(HeadError::Scheme);
    } else {
        return Err(HeadError::Target);
    };
    let end = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(HeadError::Target)?;
    if !is_authority(authority) {
        return Err(HeadError::Target);
    }
    Ok(Form::Absolute {
        scheme,
        path_len: path.len(),
        rooted: path.starts_with(b"/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let of = |target: &str, method| form(target.as_bytes(), method);
        assert!(matches!(of("/", Method::Get), Ok(Form::Origin)));
        assert!(matches!(of("*", Method::Options), Ok(Form::Origin)));
        assert!(matches!(of("a:1", Method::Connect), Ok(Form::Authority)));
        assert!(matches!(
            of("HTTPS://h?q", Method::Get),
            Ok(Form::Absolute {
                scheme: Scheme::Https,
                path_len: 2,
                rooted: false
            })
        ));
        let form = of("http://h:1/p?q", Method::Get).unwrap_or(Form::Origin);
        assert_eq!(authority_of(b"http://h:1/p?q", &form), Some(&b"h:1"[..]));
        for bad in [
            "",
            "*",
            "a",
            "a:1",
            "//",
            "http:/h",
            "http://",
            "http:///p",
            "http://a@b/",
            "://h",
            "/a b",
            "/\u{e9}",
            "/#",
        ] {
            assert_eq!(of(bad, Method::Get).is_err(), bad != "//", "{bad}");
        }
        assert_eq!(of("ftp://h/", Method::Get).err(), Some(HeadError::Scheme));
        for bad in [
            "",
            "h",
            "h:",
            "/",
            "*",
            "http://h:1",
            "u@h:1",
            "h:0x1",
            "h:1/",
        ] {
            assert!(of(bad, Method::Connect).is_err(), "{bad}");
        }
    }
}
