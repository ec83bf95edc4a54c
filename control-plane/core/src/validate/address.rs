//! Hosts that a target may have.
//!
//! The metadata services of clouds hand out credentials to whoever asks from the right machine, so no target is ever
//! one of them. A name can resolve to such an address later: the edge asks [`is_metadata`]'s question again at dial.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Azure's WireServer.
const WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
/// AWS's metadata service on IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// Longest DNS name (RFC 1035 section 2.3.4), in its written form.
const MAX_NAME: usize = 253;

/// An IP address or a DNS name, and nothing that reads as one and resolves as the other.
pub(super) fn check(host: &str) -> Result<(), String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return if is_metadata(address) {
            Err("host is an address of a cloud's metadata service".into())
        } else {
            Ok(())
        };
    }
    if is_dns_name(host) { Ok(()) } else { Err("host must be a DNS name or an IP address".into()) }
}

fn is_metadata(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == WIRE_SERVER,
        IpAddr::V6(v6) => v6 == METADATA_V6,
    }
}

fn is_dns_name(host: &str) -> bool {
    let labels: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
    let well_formed = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // Resolvers take `2852039166`, `0xa9fea9fe` and `169.254.43518` for addresses; no top-level name begins with a digit.
    let ends_in_letters =
        labels.last().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_alphabetic()));
    host.len() <= MAX_NAME && labels.iter().all(well_formed) && ends_in_letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_no_targets_in_any_spelling() {
        for bad in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "FD00:0EC2:0::254",
            "168.63.129.16",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "169.254.169.254.",
            "",
            "a b",
            "-a.example",
            "a..b",
            "/var/run/postgresql",
            "[::1]",
            "db.example:5432",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_other_addresses_are() {
        for good in [
            "localhost",
            "127.0.0.1",
            "::1",
            "10.0.0.7",
            "shop.postgres.database.azure.com",
            "db_1.internal.",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }
}
