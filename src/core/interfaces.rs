//! This machine's own addresses (getifaddrs(3)), and what kind of address each is.

use std::net::{IpAddr, Ipv4Addr};

use super::error::Result;

/// An address of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The interface's name, such as `lo` or `eth0`.
    pub name: String,
    /// The address; a link-local one of IPv6 without its zone, which is the name.
    pub ip: IpAddr,
    /// How many of its bits name the network, the same for all hosts there.
    pub prefix: u8,
    /// Who can reach it.
    pub kind: Kind,
    /// Whether the interface works now, where that is told.
    pub up: Option<bool>,
}

/// Who can reach an address, by what the address itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This machine alone (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3).
    Loopback,
    /// The machines on the same link (RFC 3927, RFC 4291 section 2.5.6).
    LinkLocal,
    /// The machines of one organisation or household (RFC 1918, RFC 4193), or of one provider (RFC 6598); addresses for examples, which nobody
    /// routes, are among them (RFC 5737, RFC 3849).
    Private,
    /// Everybody, as far as firewalls let them.
    Global,
}

/// All addresses of all interfaces, in the system's order.
///
/// # Errors
/// The system's.
pub fn all() -> Result<Vec<Interface>> {
    let found = if_addrs::get_if_addrs()
        .map_err(|error| super::reason::os(&error, "list the addresses of this machine", "the system did not tell them"))?;

    let interface = |found: if_addrs::Interface| {
        let prefix = match &found.addr {
            if_addrs::IfAddr::V4(v4) => v4.prefixlen,
            if_addrs::IfAddr::V6(v6) => v6.prefixlen,
        };
        let up = match found.oper_status {
            if_addrs::IfOperStatus::Up => Some(true),
            if_addrs::IfOperStatus::Down | if_addrs::IfOperStatus::LowerLayerDown | if_addrs::IfOperStatus::NotPresent => Some(false),
            _ => None,
        };
        Interface { ip: found.ip(), prefix, kind: kind(found.ip()), up, name: found.name }
    };
    Ok(found.into_iter().map(interface).collect())
}

/// The kind of an address.
pub fn kind(ip: IpAddr) -> Kind {
    match ip.to_canonical() {
        ip if ip.is_loopback() => Kind::Loopback,
        IpAddr::V4(v4) if v4.is_link_local() => Kind::LinkLocal,
        IpAddr::V4(v4) if v4.is_private() || is_shared(v4) || v4.is_documentation() => Kind::Private,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Kind::LinkLocal,
        IpAddr::V6(v6) if v6.is_unique_local() || v6.segments()[..2] == [0x2001, 0xdb8] => Kind::Private,
        _ => Kind::Global,
    }
}

/// 100.64.0.0/10, which a provider uses between itself and its customers.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (text, expected) in [
            ("127.0.0.101", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("169.254.1.1", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("10.0.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("172.32.0.0", Kind::Global),
            ("192.168.0.1", Kind::Private),
            ("100.127.0.1", Kind::Private),
            ("100.128.0.1", Kind::Global),
            ("fd12::1", Kind::Private),
            ("2001:db8::1", Kind::Private),
            ("192.0.2.2", Kind::Private),
            ("2606:4700::1", Kind::Global),
            ("8.8.8.8", Kind::Global),
        ] {
            assert_eq!(kind(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn this_machine_has_loopback() {
        let all = all().unwrap();
        assert!(all.iter().any(|one| one.ip.is_loopback() && one.kind == Kind::Loopback && one.prefix > 0), "{all:?}");
    }
}
