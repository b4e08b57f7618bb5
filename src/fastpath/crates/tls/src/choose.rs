//! Which of several certificates a client gets; Envoy's `DefaultTlsCertificateSelector`.

use std::collections::HashMap;

use proto::client_hello::ClientHello;

use crate::certificate::{Identity, KeyKind};

/// Signature schemes with ECDSA (RFC 8446 §4.2.3).
const ECDSA_SCHEMES: [u16; 3] = [0x0403, 0x0503, 0x0603];
const TLS_1_3: u16 = 0x0304;
/// TLS 1.2 suites that authenticate with ECDSA and that we have.
const ECDSA_SUITES: [u16; 3] = [0xc02b, 0xc02c, 0xcca9];

#[derive(Debug)]
pub(crate) struct Chooser {
    /// Name, or `.rest` of a wildcard, to certificates, each kind of key once.
    names: HashMap<Box<str>, Vec<usize>>,
    kinds: Box<[KeyKind]>,
    full_scan_on_sni_mismatch: bool,
}

impl Chooser {
    pub(crate) fn new(identities: &[Identity], full_scan_on_sni_mismatch: bool) -> Self {
        let mut names: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (index, identity) in identities.iter().enumerate() {
            for name in &identity.names {
                let name = name
                    .strip_prefix('*')
                    .filter(|rest| rest.starts_with('.'))
                    .unwrap_or(name);
                let same = names.entry(name.into()).or_default();
                let taken = same
                    .iter()
                    .filter_map(|other| identities.get(*other))
                    .any(|other| rsa(other.kind) == rsa(identity.kind));
                if !taken {
                    same.push(index);
                }
            }
        }
        Self {
            names,
            kinds: identities.iter().map(|identity| identity.kind).collect(),
            full_scan_on_sni_mismatch,
        }
    }

    /// Index of the certificate. By name: exact, then wildcard of one label. Without a name, or
    /// with one that nobody has and `full_scan_on_sni_mismatch`: the first that the client can
    /// verify. Otherwise the first.
    pub(crate) fn choose(&self, hello: &ClientHello<'_>) -> usize {
        if self.kinds.len() < 2 {
            return 0;
        }
        let client = Client::of(hello);
        // Bytes that are no text are no name of ours.
        let name = hello
            .server_name()
            .and_then(|name| std::str::from_utf8(name).ok());
        let name = name.unwrap_or_default().to_ascii_lowercase();
        if !name.is_empty() {
            let wildcard = name.get(1..).and_then(|rest| rest.find('.'));
            let wildcard = wildcard.and_then(|dot| name.get(dot.saturating_add(1)..));
            let found = [Some(name.as_str()), wildcard]
                .into_iter()
                .flatten()
                .filter_map(|name| self.names.get(name))
                .find_map(|same| self.best(same.iter().copied(), &client));
            if let Some(index) = found {
                return index;
            }
            if !self.full_scan_on_sni_mismatch {
                return 0;
            }
        }
        self.best(0..self.kinds.len(), &client).unwrap_or_default()
    }

    /// The first with a curve that the client has; else RSA.
    fn best(
        &self,
        candidates: impl Iterator<Item = usize> + Clone,
        client: &Client,
    ) -> Option<usize> {
        let of = |index: &usize| self.kinds.get(*index).copied().unwrap_or(KeyKind::Other);
        candidates
            .clone()
            .find(|index| client.verifies(of(index)))
            .or_else(|| candidates.clone().find(|index| rsa(of(index))))
    }
}

fn rsa(kind: KeyKind) -> bool {
    kind == KeyKind::Other
}

/// The curves of certificates that a client can verify.
struct Client {
    p256: bool,
    p384: bool,
    p521: bool,
}

impl Client {
    fn of(hello: &ClientHello<'_>) -> Self {
        let schemes = || hello.signature_schemes();
        let suites = || hello.cipher_suites();
        let ecdsa = schemes().any(|scheme| ECDSA_SCHEMES.contains(&scheme))
            && (hello.versions().any(|version| version == TLS_1_3)
                || suites().any(|suite| ECDSA_SUITES.contains(&suite)));
        let has = |group| ecdsa && hello.groups().any(|offered| offered == group);
        Self {
            p256: has(23),
            p384: has(24),
            p521: has(25),
        }
    }

    fn verifies(&self, kind: KeyKind) -> bool {
        match kind {
            KeyKind::P256 => self.p256,
            KeyKind::P384 => self.p384,
            KeyKind::P521 => self.p521,
            KeyKind::Other => false,
        }
    }
}
