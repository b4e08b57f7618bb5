//! Addresses and address ranges: IP only where Envoy resolves nothing, and pipes.

use std::net::{IpAddr, SocketAddr};

use envoy_types::pb::envoy::config::core::v3 as pb;
use pb::address::Address as Kind;
use pb::socket_address::PortSpecifier;

use crate::problem::Problems;
use crate::resources::address::{Address, Bind};
use crate::resources::hcm::Cidr;

/// Whether Envoy would take `text` for an IP address.
#[must_use]
pub fn is_ip_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Host and port of a TCP address, the host not looked at.
pub(super) fn host_port<'a>(
    address: Option<&'a pb::Address>,
    problems: &mut Problems,
) -> Option<(&'a str, u16)> {
    let socket = match address.and_then(|a| a.address.as_ref()) {
        Some(Kind::SocketAddress(socket)) => socket,
        Some(Kind::Pipe(_)) => {
            problems.report_at("pipe", "is not implemented here: set socket_address");
            return None;
        }
        // Whatever else is there was refused by name.
        _ => {
            problems.report("address is necessary");
            return None;
        }
    };
    let level = problems.enter("socket_address");
    let port = match &socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(*port).ok(),
        _ => None,
    };
    if port.is_none() {
        problems.report_at("port_value", "value must be less than or equal to 65535");
    }
    let tcp = socket.protocol == i32::from(pb::socket_address::Protocol::Tcp);
    if !tcp {
        problems.report_at("protocol", "UDP is not implemented");
    }
    problems.leave(level);
    Some((socket.address.as_str(), port?)).filter(|_| tcp)
}

/// An address that must be an IP address; `hint` says what to do otherwise.
pub(crate) fn socket_address(
    field: &str,
    address: Option<&pb::Address>,
    hint: &str,
    problems: &mut Problems,
) -> Option<SocketAddr> {
    let level = problems.enter(field);
    let found = host_port(address, problems).and_then(|(host, port)| {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(SocketAddr::new(ip, port));
        }
        let reason = format!("malformed IP address: {host}{hint}");
        let inner = problems.enter("socket_address");
        problems.report_at("address", reason);
        problems.leave(inner);
        None
    });
    problems.leave(level);
    found
}

/// A pipe, or an address that must be an IP address; `hint` says what to do otherwise.
pub(super) fn bind(
    field: &str,
    address: Option<&pb::Address>,
    hint: &str,
    problems: &mut Problems,
) -> Option<Bind> {
    match address.and_then(|a| a.address.as_ref()) {
        Some(Kind::Pipe(message)) => {
            let level = problems.enter(field);
            let found = problems.within("pipe", |p| pipe(message, p));
            problems.leave(level);
            found
        }
        _ => {
            let found = socket_address(field, address, hint, problems)?;
            Some(Address::Ip(found).into())
        }
    }
}

/// What unix(7) has room for with the NUL that ends it.
const MAX_PATH: usize = 107;

fn pipe(message: &pb::Pipe, problems: &mut Problems) -> Option<Bind> {
    let path = message.path.as_str();
    let is_abstract = path.starts_with('@');
    let wrong = if path.len() > MAX_PATH {
        let reason =
            format!("Path \"{path}\" exceeds maximum UNIX domain socket path size of 108.");
        Some(("path", reason))
    } else if path.contains('\0') && !is_abstract {
        let reason = "UNIX domain socket pathname contains embedded null characters";
        Some(("path", reason.to_owned()))
    } else if is_abstract && message.mode != 0 {
        let reason = "Cannot set mode for Abstract AF_UNIX sockets";
        Some(("mode", reason.to_owned()))
    } else {
        None
    };
    if let Some((field, reason)) = wrong {
        problems.report_at(field, reason);
        return None;
    }
    Some(Bind {
        address: Address::Pipe(path.into()),
        mode: message.mode,
    })
}

/// The ranges of a list.
pub(super) fn ranges(
    field: &str,
    messages: &[pb::CidrRange],
    problems: &mut Problems,
) -> Vec<Cidr> {
    let each = |(index, message)| problems.within_item(field, index, |p| range(message, p));
    messages.iter().enumerate().filter_map(each).collect()
}

/// A range; what is no address is reported in the words of Envoy's listeners.
pub(super) fn range(message: &pb::CidrRange, problems: &mut Problems) -> Option<Cidr> {
    let text = &message.address_prefix;
    if text.parse::<IpAddr>().is_err() {
        problems.report_at("address_prefix", format!("malformed IP address: {text}"));
        return None;
    }
    cidr(message, problems)
}

/// `CidrRange`, cut to its prefix: `10.1.2.3/8` is `10.0.0.0/8`.
pub(super) fn cidr(range: &pb::CidrRange, problems: &mut Problems) -> Option<Cidr> {
    let length = range.prefix_len.as_ref().map_or(0, |v| v.value);
    let Ok(address) = range.address_prefix.parse::<IpAddr>() else {
        let prefix = &range.address_prefix;
        let reason =
            format!("invalid ip/mask combo '{prefix}/{length}' (format is <ip>/<# mask bits>)");
        problems.report_at("address_prefix", reason);
        return None;
    };
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    Some(Cidr {
        address,
        prefix_len: u8::try_from(length).unwrap_or(bits).min(bits),
    })
}
