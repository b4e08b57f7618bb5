//! What is known of a connection besides its bytes.

use std::net::SocketAddr;

use model::matching::filter_chain::Facts;
use model::matching::rbac::MetadataValue;
use model::resources::address::Address;

/// As the socket has it, then as listener filters correct it. Filter chains are chosen by it, logs
/// print it.
#[derive(Debug, Clone)]
pub struct ConnectionFacts {
    /// Where the client wanted to go: the local address, or what SO_ORIGINAL_DST or PROXY protocol
    /// say.
    pub destination: Address,
    /// The local address of the socket.
    pub direct_destination: Address,
    /// `destination` is not the socket's, or was looked up all the same: another listener may be
    /// the one of it.
    pub destination_restored: bool,
    /// The client: the peer, or what PROXY protocol says.
    pub source: Address,
    /// The peer of the socket.
    pub direct_source: Address,
    /// Where the connection went before it was redirected here, or to a transparent socket: for
    /// the filter `original_dst`, looked up by whoever has the socket
    /// (`net::socket::original_destination`).
    pub redirected_from: Option<SocketAddr>,
    pub transport: Transport,
    /// Of the ClientHello, lower case; empty without one.
    pub server_name: Box<[u8]>,
    /// ALPN of the ClientHello in the client's order, or what the HTTP inspector found.
    pub application_protocols: Vec<Box<[u8]>>,
    /// MD5 in hexadecimal.
    pub ja3: Option<Box<str>>,
    pub ja4: Option<Box<str>>,
    pub tls_failure: Option<TlsFailure>,
    /// Where upstream connections leave from: `original_src`.
    pub upstream_source: Option<UpstreamSource>,
    metadata: Vec<Metadata>,
}

/// `detectedTransportProtocol`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    #[default]
    RawBuffer,
    Tls,
}

/// Why the TLS inspector found no ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFailure {
    NotDetected,
    TooLarge,
    InvalidVersion,
}

/// The client's address, to be taken for upstream connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpstreamSource {
    /// Port 0: any.
    pub address: SocketAddr,
    /// SO_MARK; 0: none.
    pub mark: u32,
}

/// Dynamic metadata: what filters tell each other, and logs.
#[derive(Debug, Clone)]
struct Metadata {
    namespace: Box<str>,
    key: Box<str>,
    value: OwnValue,
}

#[derive(Debug, Clone)]
enum OwnValue {
    Text(Box<str>),
    Bool(bool),
}

const TLS_NAMESPACE: &str = "envoy.filters.listener.tls_inspector";
const TLS_FAILURE_KEY: &str = "failure_reason";

impl ConnectionFacts {
    /// Of an accepted socket: its local address and its peer's.
    #[must_use]
    pub fn new(local: Address, peer: Address) -> Self {
        Self {
            destination: local.clone(),
            direct_destination: local,
            destination_restored: false,
            source: peer.clone(),
            direct_source: peer,
            redirected_from: None,
            transport: Transport::default(),
            server_name: Box::default(),
            application_protocols: Vec::new(),
            ja3: None,
            ja4: None,
            tls_failure: None,
            upstream_source: None,
            metadata: Vec::new(),
        }
    }

    /// What filter chains are matched by.
    #[must_use]
    pub fn for_matching(&self) -> Facts<'_> {
        Facts {
            destination: self.destination.socket_addr(),
            source: self.source.socket_addr(),
            direct_source: self.direct_source.ip(),
            server_name: &self.server_name,
            transport_protocol: self.transport.as_bytes(),
            application_protocols: &self.application_protocols,
        }
    }

    /// `%DYNAMIC_METADATA(namespace:key)%` as listener and network filters set it.
    #[must_use]
    pub fn metadata(&self, namespace: &str, key: &str) -> Option<MetadataValue<'_>> {
        if namespace == TLS_NAMESPACE && key == TLS_FAILURE_KEY {
            return self.tls_failure.map(|f| MetadataValue::Text(f.as_str()));
        }
        let mut all = self.metadata.iter();
        let found = all.find(|m| *m.namespace == *namespace && *m.key == *key)?;
        Some(match &found.value {
            OwnValue::Text(text) => MetadataValue::Text(text),
            OwnValue::Bool(flag) => MetadataValue::Bool(*flag),
        })
    }

    /// All of a namespace that filters have set.
    pub fn all_metadata<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a str, MetadataValue<'a>)> + 'a {
        let failure = self.metadata(namespace, TLS_FAILURE_KEY);
        let failure = failure.filter(|_| namespace == TLS_NAMESPACE);
        let failure = failure.map(|failure| (TLS_FAILURE_KEY, failure));
        let of_it = self
            .metadata
            .iter()
            .filter(move |m| *m.namespace == *namespace);
        failure.into_iter().chain(of_it.map(|m| {
            let value = match &m.value {
                OwnValue::Text(text) => MetadataValue::Text(text),
                OwnValue::Bool(flag) => MetadataValue::Bool(*flag),
            };
            (&*m.key, value)
        }))
    }

    /// Sets metadata; what is there already stays, as in Envoy.
    pub(super) fn add_metadata(&mut self, namespace: &str, key: &str, value: &[u8]) {
        if self.metadata(namespace, key).is_none() {
            self.set(namespace, key, OwnValue::Text(sanitised(value)));
        }
    }

    /// Sets metadata, in place of what is there.
    pub fn set_text(&mut self, namespace: &str, key: &str, value: &str) {
        self.set(namespace, key, OwnValue::Text(value.into()));
    }

    /// The same with a flag.
    pub fn set_flag(&mut self, namespace: &str, key: &str, value: bool) {
        self.set(namespace, key, OwnValue::Bool(value));
    }

    fn set(&mut self, namespace: &str, key: &str, value: OwnValue) {
        let mut all = self.metadata.iter_mut();
        match all.find(|m| *m.namespace == *namespace && *m.key == *key) {
            Some(found) => found.value = value,
            None => self.metadata.push(Metadata {
                namespace: namespace.into(),
                key: key.into(),
                value,
            }),
        }
    }

    /// Another destination than the socket's, by whatever means it became known.
    pub(super) fn restore_destination(&mut self, destination: SocketAddr) {
        let destination = Address::Ip(destination);
        if destination != self.destination {
            self.destination = destination;
            self.destination_restored = true;
        }
    }
}

impl Transport {
    #[must_use]
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::RawBuffer => b"raw_buffer",
            Self::Tls => b"tls",
        }
    }
}

impl TlsFailure {
    /// As in Envoy's dynamic metadata.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotDetected => "ClientHelloNotDetected",
            Self::TooLarge => "ClientHelloTooLarge",
            Self::InvalidVersion => "ClientHelloInvalidTlsVersion",
        }
    }
}

/// UTF-8 with `!` for each byte that is none, as Envoy makes strings of bytes.
fn sanitised(bytes: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '!'));
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        assert_eq!(&*sanitised(b"a\xffc\xe2\x82"), "a!c!!");
        assert_eq!(&*sanitised("ä".as_bytes()), "ä");
    }

    #[test]
    fn network_filters_replace_values() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let mut facts = ConnectionFacts::new(address.into(), address.into());
        facts.set_text("n", "k", "1");
        facts.set_text("n", "k", "2");
        facts.set_flag("n", "f", true);
        assert_eq!(facts.metadata("n", "k"), Some(MetadataValue::Text("2")));
        assert_eq!(facts.metadata("n", "f"), Some(MetadataValue::Bool(true)));
        assert_eq!(facts.metadata("m", "k"), None);
    }

    #[test]
    fn the_first_value_of_a_key_stays() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let mut facts = ConnectionFacts::new(address.into(), address.into());
        facts.add_metadata("n", "k", b"1");
        facts.add_metadata("n", "k", b"2");
        facts.add_metadata("m", "k", b"3");
        let text = |text| Some(MetadataValue::Text(text));
        assert_eq!(facts.metadata("n", "k"), text("1"));
        assert_eq!(facts.metadata("m", "k"), text("3"));
        assert_eq!(facts.metadata(TLS_NAMESPACE, TLS_FAILURE_KEY), None);
    }
}
