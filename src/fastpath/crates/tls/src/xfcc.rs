//! `x-forwarded-client-cert`.

use crate::info::Info;

/// `set_current_client_cert_details`
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // As in Envoy's message.
pub struct Details {
    pub subject: bool,
    pub cert: bool,
    pub chain: bool,
    pub dns: bool,
    pub uri: bool,
}

/// One element of the header for this connection: `By=…;Hash=…;Cert="…";Chain="…";Subject="…";URI=…;DNS=…`.
/// `None` without a client certificate.
#[must_use]
pub fn xfcc_element(info: &Info, details: Details) -> Option<Vec<u8>> {
    let _ = (info, details);
    None
}
