//! TLS 1.3's HKDF (RFC 5869) by AWS-LC's HMAC, with keys that are prepared once.
//!
//! rustls' own goes through `aws_lc_rs::hkdf`, which extracts again for every secret that is
//! expanded, and prepares the key again for every call: two thirds of what a handshake hashes. A
//! [`hmac::Key`] is a key that has been hashed already. And the schedule begins with a secret that
//! is the same for all connections without a ticket, so that is worked out once.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock, OutputLengthError};

/// `HkdfLabel` of RFC 8446 §7.1 for "derived" of no messages, less their hash: the length of a
/// secret, the label, the length of a hash.
const DERIVED_LABEL: &[u8] = b"\x0dtls13 derived";

/// What is expanded is nearly always shorter, and is hashed in one call then.
const SHORT: usize = 128;

pub(crate) static SHA256: Kept = Kept {
    algorithm: hmac::HMAC_SHA256,
    early: LazyLock::new(|| Arc::new(Early::new(hmac::HMAC_SHA256))),
};
pub(crate) static SHA384: Kept = Kept {
    algorithm: hmac::HMAC_SHA384,
    early: LazyLock::new(|| Arc::new(Early::new(hmac::HMAC_SHA384))),
};

/// HKDF with one hash.
pub(crate) struct Kept {
    algorithm: hmac::Algorithm,
    early: LazyLock<Arc<Early>>,
}

/// The key schedule without a PSK, as far as it is the same for everybody.
struct Early {
    /// `Early Secret`
    secret: Expander,
    /// What `Derive-Secret(Early Secret, "derived", "")` expands.
    label: Vec<u8>,
    /// What comes of that: the salt of `Handshake Secret`.
    derived: OkmBlock,
    salt: hmac::Key,
}

impl Early {
    fn new(algorithm: hmac::Algorithm) -> Self {
        let secret = extract(&zero_key(algorithm), zeros(algorithm));
        let len = algorithm.tag_len();
        let digest = algorithm.digest_algorithm();
        let len_byte = u8::try_from(len).unwrap_or_default();
        let mut label = vec![0, len_byte];
        label.extend_from_slice(DERIVED_LABEL);
        label.push(len_byte);
        label.extend_from_slice(aws_lc_rs::digest::digest(digest, b"").as_ref());
        let derived = secret.expand_block(&[&label]);
        Self {
            secret,
            label,
            salt: hmac::Key::new(algorithm, derived.as_ref()),
            derived,
        }
    }
}

impl Hkdf for Kept {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        match salt {
            None => Box::new(EarlyExpander(Arc::clone(&self.early))),
            Some(_) => self.extract_from_secret(salt, zeros(self.algorithm)),
        }
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        Box::new(match salt {
            None => extract(&zero_key(self.algorithm), secret),
            Some(salt) if verify_slices_are_equal(salt, self.early.derived.as_ref()).is_ok() => {
                extract(&self.early.salt, secret)
            }
            Some(salt) => extract(&hmac::Key::new(self.algorithm, salt), secret),
        })
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        Box::new(Expander(hmac::Key::new(self.algorithm, okm.as_ref())))
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> rustls::crypto::hmac::Tag {
        let key = hmac::Key::new(self.algorithm, key.as_ref());
        rustls::crypto::hmac::Tag::new(hmac::sign(&key, message).as_ref())
    }
}

/// As many as the hash has.
fn zeros(algorithm: hmac::Algorithm) -> &'static [u8] {
    const ZEROS: [u8; OkmBlock::MAX_LEN] = [0; OkmBlock::MAX_LEN];
    ZEROS.get(..algorithm.tag_len()).unwrap_or(&ZEROS)
}

fn zero_key(algorithm: hmac::Algorithm) -> hmac::Key {
    hmac::Key::new(algorithm, zeros(algorithm))
}

fn extract(salt: &hmac::Key, secret: &[u8]) -> Expander {
    let prk = hmac::sign(salt, secret);
    Expander(hmac::Key::new(salt.algorithm(), prk.as_ref()))
}

/// A pseudorandom key, prepared.
struct Expander(hmac::Key);

impl Expander {
    fn block(&self, previous: &[u8], info: &[&[u8]], number: u8) -> hmac::Tag {
        let mut short = [0; SHORT];
        let mut used = 0_usize;
        for part in [previous].iter().chain(info).chain(&[&[number][..]]) {
            let end = used.saturating_add(part.len());
            let Some(room) = short.get_mut(used..end) else {
                return self.long_block(previous, info, number);
            };
            room.copy_from_slice(part);
            used = end;
        }
        hmac::sign(&self.0, short.get(..used).unwrap_or_default())
    }

    fn long_block(&self, previous: &[u8], info: &[&[u8]], number: u8) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(previous);
        for part in info {
            context.update(part);
        }
        context.update(&[number]);
        context.sign()
    }
}

impl HkdfExpander for Expander {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        let mut previous: Option<hmac::Tag> = None;
        let mut number = 0_u8;
        for chunk in output.chunks_mut(self.hash_len()) {
            number = number.checked_add(1).ok_or(OutputLengthError)?;
            let before = previous.as_ref().map_or(&[][..], AsRef::as_ref);
            let tag = self.block(before, info, number);
            let begin = tag.as_ref().get(..chunk.len()).ok_or(OutputLengthError)?;
            chunk.copy_from_slice(begin);
            previous = Some(tag);
        }
        Ok(())
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        OkmBlock::new(self.block(&[], info, 1).as_ref())
    }

    fn hash_len(&self) -> usize {
        self.0.algorithm().tag_len()
    }
}

struct EarlyExpander(Arc<Early>);

impl HkdfExpander for EarlyExpander {
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
    fn reference(kept: &'static Kept) -> &'static dyn Hkdf {
        let suite = if kept.algorithm == hmac::HMAC_SHA256 {
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
            &[&long[..SHORT - 1]],
            &[&long[..SHORT]],
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
        for ours in [&SHA256, &SHA384] {
            let theirs = reference(ours);
            let label = &ours.early.label;
            let derived = ours.early.derived.as_ref();
            let other = vec![3; derived.len()];
            let salts: [Option<&[u8]>; 5] =
                [None, Some(derived), Some(&other), Some(b"short"), Some(b"")];
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
    }

    /// RFC 8448 §3, "simple 1-RTT handshake": `{server} derive secret for handshake "tls13 derived"`.
    #[test]
    fn the_salt_that_is_the_same_for_everybody() {
        let derived = data_encoding::HEXLOWER.encode(SHA256.early.derived.as_ref());
        assert_eq!(
            derived,
            "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"
        );
    }
}
