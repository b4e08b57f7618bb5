//! Request methods: the ones the mesh treats specially, and the list that Envoy's parser accepts.

/// What a method means to us. The bytes stay in the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    Other,
}

/// The rest of Envoy's list (`isMethodValid` in `balsa_parser.cc`), in order.
const ENVOY: &[&[u8]] = &[
    b"ACL",
    b"BIND",
    b"CHECKOUT",
    b"COPY",
    b"LINK",
    b"LOCK",
    b"MERGE",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKCOL",
    b"MOVE",
    b"MSEARCH",
    b"NOTIFY",
    b"PROPFIND",
    b"PROPPATCH",
    b"PURGE",
    b"REBIND",
    b"REPORT",
    b"SEARCH",
    b"SOURCE",
    b"SUBSCRIBE",
    b"UNBIND",
    b"UNLINK",
    b"UNLOCK",
    b"UNSUBSCRIBE",
];

impl Method {
    /// Methods are case-sensitive (RFC 9110 §9.1).
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// A request with this method and without a body says so (RFC 9110 §8.6).
    #[must_use]
    pub const fn expects_body(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch)
    }

    /// True for a method of Envoy's list.
    pub(crate) fn is_accepted(self, name: &[u8]) -> bool {
        self != Method::Other || ENVOY.binary_search(&name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_sorted_and_case_matters() {
        assert!(ENVOY.is_sorted());
        for name in ENVOY {
            assert!(Method::of(name).is_accepted(name));
        }
        for bad in [&b"get"[..], b"PRI", b"FOO", b"", b"GETT"] {
            assert!(!Method::of(bad).is_accepted(bad));
        }
    }
}
