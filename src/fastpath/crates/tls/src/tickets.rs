//! Session tickets of a server: RFC 5077 §4 and RFC 8446 §4.6.1 leave their form to us.
//!
//! ```text
//! name (16) | nonce (12) | AES-256-GCM( issued, seconds since 1970 (8) | session ) | tag (16)
//! ```
//!
//! The key is derived from the configured one and from the identity of the context (what it
//! verifies of clients, and its certificates' names). A ticket is worth nothing to a context that
//! would have asked for something else, even under the same configured keys.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use model::resources::tls::TicketKeys;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

const NAME: usize = 16;
const ISSUED: usize = 8;
/// As Envoy lays them out: name, HMAC key, AES key.
const KEY: usize = 80;

/// Identifies what a session was established under.
pub(crate) type Identity = [u8; 32];

/// Where the keys come from, and how long tickets are good.
pub(crate) struct Tickets {
    keys: Keys,
    identity: Identity,
    lifetime: Duration,
}

enum Keys {
    /// `session_ticket_keys`: the first encrypts.
    Given(Vec<Key>),
    /// Our own, replaced once in a lifetime. All workers have the same.
    Own(RwLock<Own>),
}

#[derive(Default)]
struct Own {
    current: Option<Arc<Key>>,
    previous: Option<Arc<Key>>,
    /// Seconds since 1970.
    since: u64,
}

struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

impl Tickets {
    pub(crate) fn own(identity: Identity, lifetime: Duration) -> Self {
        Self {
            keys: Keys::Own(RwLock::default()),
            identity,
            lifetime,
        }
    }

    /// `None`: the keys are unusable (there are none).
    pub(crate) fn given(keys: &TicketKeys, identity: Identity, lifetime: Duration) -> Option<Self> {
        let keys: Option<Vec<Key>> = keys.0.iter().map(|key| Key::new(key, &identity)).collect();
        let keys = keys.filter(|keys| !keys.is_empty())?;
        Some(Self {
            keys: Keys::Given(keys),
            identity,
            lifetime,
        })
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        match &self.keys {
            Keys::Given(keys) => keys.first()?.seal(plain, now),
            Keys::Own(own) => self.current(own, now)?.seal(plain, now),
        }
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, sealed) = ticket.split_first_chunk::<NAME>()?;
        let plain = match &self.keys {
            Keys::Given(keys) => keys.iter().find(|key| key.name == *name)?.open(sealed)?,
            Keys::Own(own) => self.named(own, name, now)?.open(sealed)?,
        };
        let (issued, session) = plain.split_first_chunk::<ISSUED>()?;
        let age = now.checked_sub(u64::from_be_bytes(*issued))?;
        (age <= self.lifetime.as_secs()).then(|| session.to_vec())
    }

    fn named(&self, own: &RwLock<Own>, name: &[u8; NAME], now: u64) -> Option<Arc<Key>> {
        let own = own.read().unwrap_or_else(PoisonError::into_inner);
        // The age of the ticket decides in the end; this forgets keys that nobody renews.
        let age = now.saturating_sub(own.since);
        if age > self.lifetime.as_secs().saturating_mul(2) {
            return None;
        }
        [&own.current, &own.previous]
            .into_iter()
            .flatten()
            .find(|key| key.name == *name)
            .map(Arc::clone)
    }

    fn current(&self, own: &RwLock<Own>, now: u64) -> Option<Arc<Key>> {
        let fresh = |own: &Own| {
            let age = now.saturating_sub(own.since);
            own.current
                .clone()
                .filter(|_| age < self.lifetime.as_secs().max(1))
        };
        if let Some(key) = fresh(&own.read().unwrap_or_else(PoisonError::into_inner)) {
            return Some(key);
        }
        let mut own = own.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = fresh(&own) {
            return Some(key);
        }
        let mut secret = [0; KEY];
        aws_lc_rs::rand::fill(&mut secret).ok()?;
        let key = Arc::new(Key::new(&secret, &self.identity)?);
        own.previous = own.current.replace(Arc::clone(&key));
        own.since = now;
        Some(key)
    }
}

impl Key {
    fn new(secret: &[u8; KEY], identity: &Identity) -> Option<Self> {
        let (name, secrets) = secret.split_first_chunk::<NAME>()?;
        let (mac, aes) = secrets.split_first_chunk::<32>()?;
        let mac = hmac::Key::new(hmac::HMAC_SHA256, mac);
        let mut context = hmac::Context::with_key(&mac);
        context.update(b"fastmesh session ticket 1");
        context.update(aes);
        context.update(identity);
        let key = UnboundKey::new(&AES_256_GCM, context.sign().as_ref()).ok()?;
        Some(Self {
            name: *name,
            key: LessSafeKey::new(key),
        })
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(plain.len().saturating_add(64));
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        let start = ticket.len();
        ticket.extend_from_slice(&now.to_be_bytes());
        ticket.extend_from_slice(plain);
        let text = ticket.get_mut(start..)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(self.name), text)
            .ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = self
            .key
            .open_in_place(nonce, Aad::from(self.name), &mut text)
            .ok()?
            .len();
        text.truncate(len);
        Some(text)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, UnixTime::now().as_secs())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, UnixTime::now().as_secs())
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// No tickets.
#[derive(Debug)]
pub(crate) struct Off;

impl ProducesTickets for Off {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _plain: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _ticket: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour() -> Duration {
        Duration::from_secs(3600)
    }

    #[test]
    fn own_keys_rotate() {
        let tickets = Tickets::own([1; 32], hour());
        let first = tickets.seal(b"session", 10_000).unwrap();
        assert_eq!(tickets.open(&first, 10_000).unwrap(), b"session");
        assert_eq!(tickets.open(&first, 13_600).unwrap(), b"session");
        assert_eq!(tickets.open(&first, 13_601), None);
        // A new key; what the old one sealed is still good.
        let late = tickets.seal(b"late", 13_599).unwrap();
        let second = tickets.seal(b"second", 13_600).unwrap();
        assert_ne!(first[..NAME], second[..NAME]);
        assert_eq!(tickets.open(&late, 13_700).unwrap(), b"late");
        // Two rotations on, it is gone.
        let _ = tickets.seal(b"third", 17_200).unwrap();
        assert_eq!(tickets.open(&late, 17_200), None);
        assert_eq!(tickets.open(&second, 17_200).unwrap(), b"second");
    }

    #[test]
    fn forged_or_short() {
        let tickets = Tickets::own([1; 32], hour());
        let ticket = tickets.seal(b"session", 0).unwrap();
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 1;
            assert_eq!(tickets.open(&forged, 0), None, "byte {at}");
            assert_eq!(tickets.open(&ticket[..at], 0), None, "cut at {at}");
        }
    }

    #[test]
    fn given_keys() {
        let keys = TicketKeys(vec![[1; KEY], [2; KEY]]);
        let one = Tickets::given(&keys, [1; 32], hour()).unwrap();
        let ticket = one.seal(b"session", 0).unwrap();
        // The second key may open, not seal.
        let swapped = TicketKeys(vec![[2; KEY], [1; KEY]]);
        let two = Tickets::given(&swapped, [1; 32], hour()).unwrap();
        assert_eq!(two.open(&ticket, 0).unwrap(), b"session");
        // Another context has other keys.
        let other = Tickets::given(&keys, [2; 32], hour()).unwrap();
        assert_eq!(other.open(&ticket, 0), None);
        assert!(Tickets::given(&TicketKeys(vec![]), [1; 32], hour()).is_none());
    }
}
