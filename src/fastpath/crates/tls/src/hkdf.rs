//! TLS 1.3's HKDF (RFC 5869), with keys that are prepared once.
//!
//! rustls' own goes through `aws_lc_rs::hkdf`, which extracts again for every secret that is
//! expanded, and prepares the key again for every call: two thirds of what a handshake hashes. An
//! [`Hmac`] is a key that has been hashed already, and a plain value: to copy AWS-LC's costs about
//! as much as to hash with it. And the schedule begins with a secret that is the same for all
//! connections without a ticket, so that is worked out once.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hmac::digest::Output;
use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock, OutputLengthError};
use sha2::{Digest as _, Sha256, Sha384};

/// `HkdfLabel` of RFC 8446 §7.1 for "derived" of no messages, less their hash: the length of a
/// secret, the label, the length of a hash.
const DERIVED_LABEL: &[u8] = b"\x0dtls13 derived";

pub(crate) static SHA256: Kept<Hmac<Sha256>> =
    Kept(LazyLock::new(|| Arc::new(Early::new(&Sha256::digest(b"")))));
pub(crate) static SHA384: Kept<Hmac<Sha384>> =
    Kept(LazyLock::new(|| Arc::new(Early::new(&Sha384::digest(b"")))));

/// HMAC with one hash; a value is a prepared key.
pub(crate) trait Keyed: Mac + KeyInit + Clone + Send + Sync + 'static {
    #[allow(clippy::expect_used)] // HMAC takes keys of any length (RFC 2104 §2).
    fn of(key: &[u8]) -> Self {
        <Self as KeyInit>::new_from_slice(key).expect("a key of any length")
    }

    fn sign(&self, message: &[u8]) -> Output<Self> {
        self.clone().chain_update(message).finalize().into_bytes()
    }
}

impl<T: Mac + KeyInit + Clone + Send + Sync + 'static> Keyed for T {}

/// HKDF with one hash, and the beginning of the schedule.
pub(crate) struct Kept<H: Keyed>(LazyLock<Arc<Early<H>>>);

/// The key schedule without a PSK, as far as it is the same for everybody.
struct Early<H> {
    /// `Early Secret`
    secret: Expander<H>,
    /// What `Derive-Secret(Early Secret, "derived", "")` expands.
    label: Vec<u8>,
    /// What comes of that: the salt of `Handshake Secret`.
    derived: OkmBlock,
    salt: H,
}

impl<H: Keyed> Early<H> {
    /// `empty`: the hash of no messages.
    fn new(empty: &[u8]) -> Self {
        let secret = extract(&H::of(zeros::<H>()), zeros::<H>());
        let len = u8::try_from(H::output_size()).unwrap_or_default();
        let label = [&[0, len], DERIVED_LABEL, &[len], empty].concat();
        let derived = secret.expand_block(&[&label]);
        Self {
            secret,
            label,
            salt: H::of(derived.as_ref()),
            derived,
        }
    }
}

impl<H: Keyed> Hkdf for Kept<H> {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        match salt {
            None => Box::new(EarlyExpander(Arc::clone(&self.0))),
            Some(_) => self.extract_from_secret(salt, zeros::<H>()),
        }
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        Box::new(match salt {
            None => extract(&H::of(zeros::<H>()), secret),
            Some(salt) if verify_slices_are_equal(salt, self.0.derived.as_ref()).is_ok() => {
                extract(&self.0.salt, secret)
            }
            Some(salt) => extract(&H::of(salt), secret),
        })
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        Box::new(Expander(H::of(okm.as_ref())))
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> rustls::crypto::hmac::Tag {
        rustls::crypto::hmac::Tag::new(&H::of(key.as_ref()).sign(message))
    }
}

/// As many as the hash has.
fn zeros<H: Keyed>() -> &'static [u8] {
    const ZEROS: [u8; OkmBlock::MAX_LEN] = [0; OkmBlock::MAX_LEN];
    ZEROS.get(..H::output_size()).unwrap_or(&ZEROS)
}

fn extract<H: Keyed>(salt: &H, secret: &[u8]) -> Expander<H> {
    Expander(H::of(&salt.sign(secret)))
}

/// A pseudorandom key, prepared.
struct Expander<H>(H);

impl<H: Keyed> Expander<H> {
    fn block(&self, previous: &[u8], info: &[&[u8]], number: u8) -> Output<H> {
        let mut keyed = self.0.clone();
        keyed.update(previous);
        for part in info {
            keyed.update(part);
        }
        keyed.update(&[number]);
        keyed.finalize().into_bytes()
    }
}

impl<H: Keyed> HkdfExpander for Expander<H> {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        let mut previous: Option<Output<H>> = None;
        let mut number = 0_u8;
        for chunk in output.chunks_mut(self.hash_len()) {
            number = number.checked_add(1).ok_or(OutputLengthError)?;
            let before = previous.as_deref().unwrap_or_default();
            let block = self.block(before, info, number);
            let begin = block.get(..chunk.len()).ok_or(OutputLengthError)?;
            chunk.copy_from_slice(begin);
            previous = Some(block);
        }
        Ok(())
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        OkmBlock::new(&self.block(&[], info, 1))
    }

    fn hash_len(&self) -> usize {
        H::output_size()
    }
}

struct EarlyExpander<H>(Arc<Early<H>>);

impl<H: Keyed> HkdfExpander for EarlyExpander<H> {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        self.0.secret.expand_slice(info, output)
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        // Labels and hashes of messages, nothing secret.
        let mut rest = self.0.label.as_slice();
        let same = info.iter().all(|part| match rest.strip_prefix(*part) {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        });
        if same && rest.is_empty() {
            self.0.derived.clone()
        } else {
            self.0.secret.expand_block(info)
        }
    }

    fn hash_len(&self) -> usize {
        self.0.secret.hash_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::aws_lc_rs::cipher_suite;

    /// rustls' own, over AWS-LC's HKDF.
    fn reference(length: usize) -> &'static dyn Hkdf {
        let suite = if length == 32 {
            cipher_suite::TLS13_AES_128_GCM_SHA256
        } else {
            cipher_suite::TLS13_AES_256_GCM_SHA384
        };
        suite.tls13().unwrap().hkdf_provider
    }

    fn same(ours: &dyn HkdfExpander, theirs: &dyn HkdfExpander, label: &[u8]) {
        assert_eq!(ours.hash_len(), theirs.hash_len());
        let long = vec![7; 300];
        let infos: [&[&[u8]]; 10] = [
            &[],
            &[b"one"],
            &[b"", b"a", b"bc", b""],
            &[&long, b"x"],
            &[&long[..127]],
            &[&long[..128]],
            &[label],
            &[&label[..1], &label[1..20], &label[20..]],
            &[label.split_last().unwrap().1],
            &[label, b"x"],
        ];
        for info in infos {
            let (a, b) = (ours.expand_block(info), theirs.expand_block(info));
            assert_eq!(a.as_ref(), b.as_ref(), "{info:?}");
            for len in [0, 1, 12, 16, 32, 33, 48, 64, 97, 1000] {
                let (mut a, mut b) = (vec![0; len], vec![1; len]);
                ours.expand_slice(info, &mut a).unwrap();
                theirs.expand_slice(info, &mut b).unwrap();
                assert_eq!(a, b, "{info:?} {len}");
            }
        }
        let most = ours.hash_len().saturating_mul(255);
        assert!(ours.expand_slice(&[b"i"], &mut vec![0; most]).is_ok());
        assert!(
            ours.expand_slice(&[b"i"], &mut vec![0; most.saturating_add(1)])
                .is_err()
        );
    }

    #[test]
    fn as_aws_lc_does_it() {
        compare(&SHA256);
        compare(&SHA384);
    }

    fn compare<H: Keyed>(ours: &'static Kept<H>) {
        let theirs = reference(H::output_size());
        let label = &ours.0.label;
        let derived = ours.0.derived.as_ref();
        let other = vec![3; derived.len()];
        let salts: [Option<&[u8]>; 6] = [
            None,
            Some(derived),
            Some(&other),
            Some(b"short"),
            Some(b""),
            Some(&[4; 200]),
        ];
        for salt in salts {
            let (a, b) = (
                ours.extract_from_zero_ikm(salt),
                theirs.extract_from_zero_ikm(salt),
            );
            same(a.as_ref(), b.as_ref(), label);
            for secret in [&b"secret"[..], &[9; 32], &[9; 200], b""] {
                let a = ours.extract_from_secret(salt, secret);
                let b = theirs.extract_from_secret(salt, secret);
                same(a.as_ref(), b.as_ref(), label);
            }
        }
        let okm = OkmBlock::new(&other);
        let (a, b) = (ours.expander_for_okm(&okm), theirs.expander_for_okm(&okm));
        same(a.as_ref(), b.as_ref(), label);
        for message in [&b""[..], b"message", &[1; 500]] {
            let (a, b) = (
                ours.hmac_sign(&okm, message),
                theirs.hmac_sign(&okm, message),
            );
            assert_eq!(a.as_ref(), b.as_ref());
        }
    }

    /// RFC 8448 §3, "simple 1-RTT handshake": `{server} derive secret for handshake "tls13 derived"`.
    #[test]
    fn the_salt_that_is_the_same_for_everybody() {
        let derived = data_encoding::HEXLOWER.encode(SHA256.0.derived.as_ref());
        assert_eq!(
            derived,
            "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"
        );
    }
}
