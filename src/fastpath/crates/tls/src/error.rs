//! Why a TLS connection failed: words for the access log, a class for the statistics.

use std::fmt;
use std::sync::Arc;

use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible,
    PeerMisbehaved,
};

/// Which of Envoy's `ssl.*` counters a failure counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// `ssl.connection_error`: everything that is not about the peer's certificate.
    Connection,
    /// `ssl.fail_verify_no_cert`
    NoCertificate,
    /// `ssl.fail_verify_error`: the chain.
    VerifyChain,
    /// `ssl.fail_verify_san`
    VerifySan,
    /// `ssl.fail_verify_cert_hash`
    VerifyHash,
}

/// A failure that ends the connection. The alert for the peer is in the output of the call
/// that returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    class: ErrorClass,
    reason: Box<str>,
}

impl TlsError {
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`: `TLS_error:|…:TLS_error_end`, as Envoy prints
    /// BoringSSL's error queue.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// A failure of the protocol.
    pub(crate) fn protocol(reason: Reason) -> Self {
        Self::ssl(ErrorClass::Connection, reason, "")
    }

    /// An error of BoringSSL's library "SSL routines".
    fn ssl(class: ErrorClass, Reason(code, name): Reason, detail: &str) -> Self {
        // ERR_PACK: the library (16, ERR_LIB_SSL) above 24 bits of reason.
        let packed = (16_u32 << 24) | (u32::from(code));
        let colon = if detail.is_empty() { "" } else { ":" };
        let reason = format!(
            "TLS_error:|{packed}:SSL routines:OPENSSL_internal:{name}{colon}{detail}:TLS_error_end"
        );
        Self {
            class,
            reason: reason.into(),
        }
    }

    pub(crate) fn internal(detail: &str) -> Self {
        Self::ssl(ErrorClass::Connection, reason::INTERNAL_ERROR, detail)
    }

    /// The session has ended.
    pub(crate) fn over() -> Self {
        Self::protocol(reason::PROTOCOL_IS_SHUTDOWN)
    }

    pub(crate) fn alert_received(description: u8) -> Self {
        // SSL_AD_REASON_OFFSET
        let code = u16::from(description).saturating_add(1000);
        Self::protocol(Reason(code, alert_name(description)))
    }

    pub(crate) fn verify(failure: &VerifyFailure) -> Self {
        Self::ssl(
            failure.class,
            reason::CERTIFICATE_VERIFY_FAILED,
            &failure.detail,
        )
    }

    pub(crate) fn of_rustls(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::ssl(
                ErrorClass::NoCertificate,
                reason::PEER_DID_NOT_RETURN_A_CERTIFICATE,
                "peer did not provide required client certificate",
            ),
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                match inner.downcast_ref::<VerifyFailure>() {
                    Some(failure) => Self::verify(failure),
                    None => Self::chain(&inner.to_string()),
                }
            }
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::Other(OtherError(inner)) if inner.is::<BadKeyUsage>() => {
                Self::protocol(reason::KEY_USAGE_BIT_INCORRECT)
            }
            Error::AlertReceived(alert) => Self::alert_received(u8::from(*alert)),
            other => {
                let reason = reason_of(other);
                let detail = if reason == reason::INTERNAL_ERROR {
                    other.to_string()
                } else {
                    String::new()
                };
                Self::ssl(ErrorClass::Connection, reason, &detail)
            }
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            // The proof of possession, not the chain.
            CertificateError::BadSignature => Self::protocol(reason::BAD_SIGNATURE),
            CertificateError::BadEncoding => Self::protocol(reason::CANNOT_PARSE_LEAF_CERT),
            other => Self::chain(chain_words(other)),
        }
    }

    fn chain(words: &str) -> Self {
        Self::verify(&VerifyFailure::chain(words))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for TlsError {}

/// Why a certificate was refused; travels through rustls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifyFailure {
    pub(crate) class: ErrorClass,
    /// Envoy's words: `verify cert failed: …`.
    pub(crate) detail: String,
}

impl VerifyFailure {
    pub(crate) fn chain(words: &str) -> Self {
        Self {
            class: ErrorClass::VerifyChain,
            detail: format!(
                "verify cert failed: X509_verify_cert: certificate verification error at depth 0: \
                 {words}"
            ),
        }
    }

    pub(crate) fn into_rustls(self) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(self))))
    }
}

impl fmt::Display for VerifyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for VerifyFailure {}

/// The certificate is not for signing; travels through rustls.
#[derive(Debug)]
pub(crate) struct BadKeyUsage;

impl BadKeyUsage {
    pub(crate) fn into_rustls(self) -> Error {
        Error::Other(OtherError(Arc::new(self)))
    }
}

impl fmt::Display for BadKeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key usage of the certificate does not allow signatures")
    }
}

impl std::error::Error for BadKeyUsage {}

/// OpenSSL's words (`X509_verify_cert_error_string`) for what webpki found.
pub(crate) fn chain_words(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => "certificate has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "certificate is not yet valid",
        E::Revoked => {
            "certificate revocation check against provided CRLs failed: certificate revoked"
        }
        E::UnknownIssuer => "unable to get local issuer certificate",
        E::UnknownRevocationStatus => {
            "certificate revocation check against provided CRLs failed: \
             unable to get certificate CRL"
        }
        E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
            "certificate revocation check against provided CRLs failed: CRL has expired"
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "unsupported certificate purpose",
        E::UnhandledCriticalExtension => "unhandled critical extension",
        E::BadSignature => "certificate signature failure",
        _ => "certificate rejected",
    }
}

fn reason_of(error: &Error) -> Reason {
    match error {
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            reason::UNEXPECTED_MESSAGE
        }
        Error::InvalidMessage(
            InvalidMessage::UnknownProtocolVersion | InvalidMessage::InvalidContentType,
        ) => reason::WRONG_VERSION_NUMBER,
        Error::InvalidMessage(
            InvalidMessage::MessageTooLarge | InvalidMessage::HandshakePayloadTooLarge,
        )
        | Error::PeerSentOversizedRecord => reason::EXCESSIVE_MESSAGE_SIZE,
        Error::InvalidMessage(_) => reason::DECODE_ERROR,
        Error::DecryptError => reason::DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
        Error::PeerIncompatible(why) => incompatible(why),
        Error::PeerMisbehaved(why) => misbehaved(why),
        Error::NoApplicationProtocol => reason::NO_APPLICATION_PROTOCOL,
        _ => reason::INTERNAL_ERROR,
    }
}

fn incompatible(why: &PeerIncompatible) -> Reason {
    use PeerIncompatible as P;
    match why {
        P::NoCipherSuitesInCommon => reason::NO_SHARED_CIPHER,
        P::NoKxGroupsInCommon | P::KeyShareExtensionRequired | P::NamedGroupsExtensionRequired => {
            reason::NO_SHARED_GROUP
        }
        P::NoSignatureSchemesInCommon
        | P::SignatureAlgorithmsExtensionRequired
        | P::NoCertificateRequestSignatureSchemesInCommon => reason::NO_COMMON_SIGNATURE_ALGORITHMS,
        P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::SupportedVersionsExtensionRequired
        | P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig => reason::UNSUPPORTED_PROTOCOL,
        _ => reason::DECODE_ERROR,
    }
}

fn misbehaved(why: &PeerMisbehaved) -> Reason {
    use PeerMisbehaved as P;
    match why {
        P::TooManyEmptyFragments => reason::TOO_MANY_EMPTY_FRAGMENTS,
        P::TooManyWarningAlertsReceived => reason::TOO_MANY_WARNING_ALERTS,
        P::TooManyKeyUpdateRequests => reason::TOO_MANY_KEY_UPDATES,
        P::AttemptedDowngradeToTls12WhenTls13IsSupported => reason::TLS13_DOWNGRADE,
        P::MessageInterleavedWithHandshakeMessage | P::KeyEpochWithPendingFragment => {
            reason::EXCESS_HANDSHAKE_DATA
        }
        P::IllegalMiddleboxChangeCipherSpec => reason::UNEXPECTED_RECORD,
        _ => reason::DECODE_ERROR,
    }
}

/// BoringSSL's number and name of a reason (`SSL_R_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason(u16, &'static str);

/// Those that we have; the numbers are in BoringSSL's `ssl.h`.
pub(crate) mod reason {
    use super::Reason;

    /// `ERR_R_INTERNAL_ERROR`
    pub(crate) const INTERNAL_ERROR: Reason = Reason(68, "INTERNAL_ERROR");
    pub(crate) const BAD_ALERT: Reason = Reason(102, "BAD_ALERT");
    pub(crate) const BAD_PACKET_LENGTH: Reason = Reason(112, "BAD_PACKET_LENGTH");
    pub(crate) const BAD_SIGNATURE: Reason = Reason(114, "BAD_SIGNATURE");
    pub(crate) const CERTIFICATE_VERIFY_FAILED: Reason = Reason(125, "CERTIFICATE_VERIFY_FAILED");
    pub(crate) const DATA_LENGTH_TOO_LONG: Reason = Reason(136, "DATA_LENGTH_TOO_LONG");
    pub(crate) const DECODE_ERROR: Reason = Reason(137, "DECODE_ERROR");
    pub(crate) const DECRYPTION_FAILED_OR_BAD_RECORD_MAC: Reason =
        Reason(139, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC");
    pub(crate) const EXCESSIVE_MESSAGE_SIZE: Reason = Reason(150, "EXCESSIVE_MESSAGE_SIZE");
    pub(crate) const HTTPS_PROXY_REQUEST: Reason = Reason(155, "HTTPS_PROXY_REQUEST");
    pub(crate) const HTTP_REQUEST: Reason = Reason(156, "HTTP_REQUEST");
    pub(crate) const NO_RENEGOTIATION: Reason = Reason(182, "NO_RENEGOTIATION");
    pub(crate) const NO_SHARED_CIPHER: Reason = Reason(184, "NO_SHARED_CIPHER");
    pub(crate) const PEER_DID_NOT_RETURN_A_CERTIFICATE: Reason =
        Reason(192, "PEER_DID_NOT_RETURN_A_CERTIFICATE");
    pub(crate) const TOO_MANY_EMPTY_FRAGMENTS: Reason = Reason(219, "TOO_MANY_EMPTY_FRAGMENTS");
    pub(crate) const TOO_MANY_WARNING_ALERTS: Reason = Reason(220, "TOO_MANY_WARNING_ALERTS");
    pub(crate) const UNEXPECTED_MESSAGE: Reason = Reason(223, "UNEXPECTED_MESSAGE");
    pub(crate) const UNEXPECTED_RECORD: Reason = Reason(225, "UNEXPECTED_RECORD");
    pub(crate) const UNSUPPORTED_PROTOCOL: Reason = Reason(240, "UNSUPPORTED_PROTOCOL");
    pub(crate) const WRONG_VERSION_NUMBER: Reason = Reason(247, "WRONG_VERSION_NUMBER");
    pub(crate) const NO_COMMON_SIGNATURE_ALGORITHMS: Reason =
        Reason(253, "NO_COMMON_SIGNATURE_ALGORITHMS");
    pub(crate) const EXCESS_HANDSHAKE_DATA: Reason = Reason(255, "EXCESS_HANDSHAKE_DATA");
    pub(crate) const TOO_MANY_KEY_UPDATES: Reason = Reason(260, "TOO_MANY_KEY_UPDATES");
    pub(crate) const NO_SHARED_GROUP: Reason = Reason(266, "NO_SHARED_GROUP");
    pub(crate) const CANNOT_PARSE_LEAF_CERT: Reason = Reason(272, "CANNOT_PARSE_LEAF_CERT");
    pub(crate) const PROTOCOL_IS_SHUTDOWN: Reason = Reason(194, "PROTOCOL_IS_SHUTDOWN");
    pub(crate) const CONNECTION_REJECTED: Reason = Reason(154, "CONNECTION_REJECTED");
    pub(crate) const TLS13_DOWNGRADE: Reason = Reason(297, "TLS13_DOWNGRADE");
    pub(crate) const KEY_USAGE_BIT_INCORRECT: Reason = Reason(302, "KEY_USAGE_BIT_INCORRECT");
    pub(crate) const NO_APPLICATION_PROTOCOL: Reason = Reason(307, "NO_APPLICATION_PROTOCOL");
}

/// `SSL_R_…ALERT…` by the number of the alert (RFC 8446 §6, and TLS 1.2's).
fn alert_name(description: u8) -> &'static str {
    match AlertDescription::from(description) {
        AlertDescription::CloseNotify => "SSLV3_ALERT_CLOSE_NOTIFY",
        AlertDescription::UnexpectedMessage => "SSLV3_ALERT_UNEXPECTED_MESSAGE",
        AlertDescription::BadRecordMac => "SSLV3_ALERT_BAD_RECORD_MAC",
        AlertDescription::RecordOverflow => "TLSV1_ALERT_RECORD_OVERFLOW",
        AlertDescription::HandshakeFailure => "SSLV3_ALERT_HANDSHAKE_FAILURE",
        AlertDescription::NoCertificate => "SSLV3_ALERT_NO_CERTIFICATE",
        AlertDescription::BadCertificate => "SSLV3_ALERT_BAD_CERTIFICATE",
        AlertDescription::UnsupportedCertificate => "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        AlertDescription::CertificateRevoked => "SSLV3_ALERT_CERTIFICATE_REVOKED",
        AlertDescription::CertificateExpired => "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        AlertDescription::CertificateUnknown => "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        AlertDescription::IllegalParameter => "SSLV3_ALERT_ILLEGAL_PARAMETER",
        AlertDescription::UnknownCA => "TLSV1_ALERT_UNKNOWN_CA",
        AlertDescription::AccessDenied => "TLSV1_ALERT_ACCESS_DENIED",
        AlertDescription::DecodeError => "TLSV1_ALERT_DECODE_ERROR",
        AlertDescription::DecryptError => "TLSV1_ALERT_DECRYPT_ERROR",
        AlertDescription::ProtocolVersion => "TLSV1_ALERT_PROTOCOL_VERSION",
        AlertDescription::InsufficientSecurity => "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        AlertDescription::InternalError => "TLSV1_ALERT_INTERNAL_ERROR",
        AlertDescription::InappropriateFallback => "TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
        AlertDescription::UserCanceled => "TLSV1_ALERT_USER_CANCELLED",
        AlertDescription::NoRenegotiation => "TLSV1_ALERT_NO_RENEGOTIATION",
        AlertDescription::UnsupportedExtension => "TLSV1_ALERT_UNSUPPORTED_EXTENSION",
        AlertDescription::UnrecognisedName => "TLSV1_ALERT_UNRECOGNIZED_NAME",
        AlertDescription::BadCertificateStatusResponse => {
            "TLSV1_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE"
        }
        AlertDescription::BadCertificateHashValue => "TLSV1_ALERT_BAD_CERTIFICATE_HASH_VALUE",
        AlertDescription::UnknownPSKIdentity => "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY",
        AlertDescription::CertificateRequired => "TLSV1_ALERT_CERTIFICATE_REQUIRED",
        AlertDescription::NoApplicationProtocol => "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
        _ => "UNKNOWN_ALERT_TYPE",
    }
}
