//! Numbers and addresses as bytes, without the formatting machinery: they are on every line.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use model::resources::address::Address;

/// Appends a number.
#[inline]
pub(super) fn decimal(mut n: u64, out: &mut Vec<u8>) {
    if n < 10 {
        out.push(b'0'.saturating_add(u8::try_from(n).unwrap_or(0)));
        return;
    }
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.saturating_add(u8::try_from(n % 10).unwrap_or(0));
        n /= 10;
        start = place;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// Appends the last `width` digits of `n` (20 at most), zeros in front.
pub(super) fn padded(mut n: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let skip = digits.len().saturating_sub(width);
    let wanted = digits.get_mut(skip..).unwrap_or_default();
    for digit in wanted.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(n % 10).unwrap_or(0));
        n /= 10;
    }
    out.extend_from_slice(wanted);
}

/// Appends two digits.
pub(super) fn two(n: u64, out: &mut Vec<u8>) {
    let digit = |n: u64| b'0'.saturating_add(u8::try_from(n % 10).unwrap_or(0));
    out.extend_from_slice(&[digit(n / 10), digit(n)]);
}

/// Appends `1.2.3.4:80`, `[::1]:80` or the path of a pipe.
pub(super) fn write(address: &Address, out: &mut Vec<u8>) {
    match address {
        Address::Ip(address) => socket(*address, out),
        Address::Pipe(path) => out.extend_from_slice(path.as_bytes()),
    }
}

fn socket(address: SocketAddr, out: &mut Vec<u8>) {
    match address {
        SocketAddr::V4(v4) => ip(IpAddr::V4(*v4.ip()), out),
        SocketAddr::V6(v6) => {
            out.push(b'[');
            ip(IpAddr::V6(*v6.ip()), out);
            out.push(b']');
        }
    }
    out.push(b':');
    decimal(address.port().into(), out);
}

/// Appends an IP address.
pub(super) fn ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => {
            for (n, byte) in v4.octets().into_iter().enumerate() {
                if n != 0 {
                    out.push(b'.');
                }
                decimal(byte.into(), out);
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses() {
        let mut out = Vec::new();
        for n in [0, 7, 10, 1234567890, u64::MAX] {
            decimal(n, &mut out);
            out.push(b' ');
        }
        padded(7, 3, &mut out);
        two(9, &mut out);
        for address in ["127.0.0.1:80", "[::1]:65535"] {
            out.push(b' ');
            socket(address.parse().unwrap(), &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            format!(
                "0 7 10 1234567890 {} 00709 127.0.0.1:80 [::1]:65535",
                u64::MAX
            )
        );
    }
}
