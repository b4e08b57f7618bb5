//! What a configuration allows of AWS-LC: versions, suites, groups. Never the process's default
//! provider.

use std::sync::{Arc, LazyLock};

use model::problem::Problem;
use model::resources::tls::{CipherSuite, CommonTls, Group, TlsVersion};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::hash::HashAlgorithm;
use rustls::crypto::{CipherSuiteCommon, CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, Tls13CipherSuite};

use crate::hkdf;
use crate::random;

/// Envoy's defaults for TLS 1.2 (`DEFAULT_CIPHER_SUITES` of a BoringSSL with AES in hardware).
const DEFAULT_SUITES: [CipherSuite; 6] = [
    CipherSuite::EcdheEcdsaAes128Gcm,
    CipherSuite::EcdheEcdsaChacha20,
    CipherSuite::EcdheRsaAes128Gcm,
    CipherSuite::EcdheRsaChacha20,
    CipherSuite::EcdheEcdsaAes256Gcm,
    CipherSuite::EcdheRsaAes256Gcm,
];

/// Envoy's defaults (`DEFAULT_CURVES`): no X25519MLKEM768 unless `ecdh_curves` names it.
const DEFAULT_GROUPS: [Group; 2] = [Group::X25519, Group::P256];

/// TLS 1.3's suites are not configurable in Envoy; BoringSSL's order with AES in hardware.
static TLS13_SUITES: LazyLock<Vec<Tls13CipherSuite>> = LazyLock::new(|| {
    let suites = [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let of_tls13 = suites.iter().filter_map(SupportedCipherSuite::tls13);
    of_tls13.map(with_our_hkdf).collect()
});

fn with_our_hkdf(suite: &Tls13CipherSuite) -> Tls13CipherSuite {
    let hash_provider = suite.common.hash_provider;
    Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider,
            confidentiality_limit: suite.common.confidentiality_limit,
        },
        hkdf_provider: match hash_provider.algorithm() {
            HashAlgorithm::SHA384 => &hkdf::SHA384,
            _ => &hkdf::SHA256,
        },
        aead_alg: suite.aead_alg,
        quic: None,
    }
}

pub(crate) fn provider(common: &CommonTls) -> Arc<CryptoProvider> {
    let suites: &[CipherSuite] = match common.cipher_suites.as_slice() {
        [] => &DEFAULT_SUITES,
        configured => configured,
    };
    let groups: &[Group] = match common.groups.as_slice() {
        [] => &DEFAULT_GROUPS,
        configured => configured,
    };
    let tls13 = TLS13_SUITES.iter().map(SupportedCipherSuite::Tls13);
    let tls12 = suites.iter().map(|suite| tls12_suite(*suite));
    Arc::new(CryptoProvider {
        cipher_suites: tls13.chain(tls12).collect(),
        kx_groups: groups.iter().map(|group| kx(*group)).collect(),
        secure_random: &random::Visible,
        ..aws_lc_rs::default_provider()
    })
}

/// # Errors
/// A minimum above the maximum.
pub(crate) fn versions(
    common: &CommonTls,
) -> Result<Vec<&'static SupportedProtocolVersion>, Problem> {
    let allowed = common.min_version..=common.max_version;
    let versions: Vec<_> = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)]
        .into_iter()
        .filter(|(version, _)| allowed.contains(version))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err(Problem {
            path: "common_tls_context.tls_params".into(),
            reason: "tls_minimum_protocol_version is above tls_maximum_protocol_version".into(),
        });
    }
    Ok(versions)
}

fn tls12_suite(suite: CipherSuite) -> SupportedCipherSuite {
    match suite {
        CipherSuite::EcdheEcdsaAes128Gcm => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaAes128Gcm => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheEcdsaAes256Gcm => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaAes256Gcm => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheEcdsaChacha20 => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        CipherSuite::EcdheRsaChacha20 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn kx(group: Group) -> &'static dyn SupportedKxGroup {
    match group {
        Group::X25519 => kx_group::X25519,
        Group::P256 => kx_group::SECP256R1,
        Group::P384 => kx_group::SECP384R1,
        Group::X25519MlKem768 => kx_group::X25519MLKEM768,
    }
}
