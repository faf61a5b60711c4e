//! Endpoints as people write them. Pure functions: nothing here asks the network.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use super::error::{Error, Result};

/// A socket address in half the room: most are IPv4, and the others lie elsewhere.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl Endpoint {
    pub(super) fn get(&self) -> SocketAddr {
        match self {
            Self::V4(v4) => SocketAddr::V4(*v4),
            Self::V6(v6) => SocketAddr::V6(**v6),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(v4) => Self::V4(v4),
            SocketAddr::V6(v6) => Self::V6(Box::new(v6)),
        }
    }
}

/// The host part as text, with the zone of a link-local IPv6 address (RFC 4007): `127.0.0.1`, `::1`, `fe80::1%2`.
pub fn host(addr: &SocketAddr) -> String {
    match addr {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => addr.ip().to_string(),
    }
}

/// A port, checked.
///
/// # Errors
/// [`Error::Range`] outside 0 to 65535.
pub fn port(number: i64) -> Result<u16> {
    u16::try_from(number).map_err(|_| no_such_port(&number.to_string()))
}

/// The error for a number that is no port.
pub fn no_such_port(number: &str) -> Error {
    Error::Range(format!("port {number} does not exist: a port is a 16-bit number, 0 to 65535 (RFC 9293 section 3.1)"))
}

/// Splits `"host:port"`, `"[v6]:port"`, `"host"` or a bare IPv6 address into its parts.
///
/// # Errors
/// [`Error::Invalid`] for an empty host, an unclosed bracket or a port that is not a number; [`Error::Range`] for a port out of range.
pub fn split(text: &str) -> Result<(String, Option<u16>)> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(Error::Invalid(format!(
            "{text:?} is a URL; an endpoint is host:port alone. Leave out {:?}{}",
            format!("{scheme}://"),
            if rest.contains(':') { "" } else { " and add the port" }
        )));
    }
    let (host, port_text) = match text.strip_prefix('[') {
        Some(rest) => bracketed(text, rest)?,
        None => match text.split_once(':') {
            // Two colons or more: an IPv6 address without brackets, so there is no port in it.
            Some((_, rest)) if rest.contains(':') => (bare_v6(text)?, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(Error::Invalid(format!("the host in {text:?} is empty; 127.0.0.1 is this machine itself")));
    }
    let number = port_text.map(|digits| parse_port(text, digits)).transpose()?;
    Ok((host.to_owned(), number))
}

const V6_FORM: &str = "an IPv6 endpoint is written [::1]:6666, with one pair of brackets";

/// `[v6]` or `[v6]:port`, given what is behind the first bracket.
fn bracketed<'a>(text: &str, rest: &'a str) -> Result<(&'a str, Option<&'a str>)> {
    let (inside, after) =
        rest.split_once(']').ok_or_else(|| Error::Invalid(format!("{text:?} opens a bracket and does not close it; {V6_FORM}")))?;
    match after.strip_prefix(':') {
        Some(port) => Ok((inside, Some(port))),
        None if after.is_empty() => Ok((inside, None)),
        None => Err(Error::Invalid(format!("{text:?} has {after:?} after the bracket; {V6_FORM}"))),
    }
}

/// An IPv6 address with no port, perhaps with its zone.
fn bare_v6(text: &str) -> Result<&str> {
    let address = text.split('%').next().unwrap_or(text);
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(text);
    }
    Err(Error::Invalid(format!("{text:?} is no endpoint: it is written host:port, and {V6_FORM}")))
}

fn parse_port(text: &str, digits: &str) -> Result<u16> {
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Invalid(format!(
            "the port {digits:?} in {text:?} is not a number; an endpoint is written host:port, as in 127.0.0.1:6666"
        )));
    }
    // Only digits are left, so what does not fit is too large.
    digits.parse::<i64>().map_or_else(|_| Err(no_such_port(digits)), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Option<u16>) {
        split(text).unwrap()
    }

    #[test]
    fn endpoints_as_people_write_them() {
        assert_eq!(parts("127.0.0.1:6666"), ("127.0.0.1".into(), Some(6666)));
        assert_eq!(parts("localhost"), ("localhost".into(), None));
        assert_eq!(parts("[::1]:80"), ("::1".into(), Some(80)));
        assert_eq!(parts("[::1]"), ("::1".into(), None));
        assert_eq!(parts("::1"), ("::1".into(), None));
        assert_eq!(parts("fe80::1%eth0"), ("fe80::1%eth0".into(), None));
    }

    #[test]
    fn endpoints_that_make_no_sense() {
        for (text, word) in [
            ("", "empty"),
            (":80", "empty"),
            ("[::1", "bracket"),
            ("[::1]80", "after the bracket"),
            ("a:http", "not a number"),
            ("a:", "not a number"),
            ("a:65536", "65535"),
            ("a:-1", "65535"),
        ] {
            let message = split(text).unwrap_err().to_string();
            assert!(message.contains(word), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_zone_is_part_of_the_host() {
        let zoned: SocketAddr = "[fe80::1%2]:80".parse().unwrap();
        assert_eq!(host(&zoned), "fe80::1%2");
        assert_eq!(host(&"127.0.0.1:1".parse().unwrap()), "127.0.0.1");
    }
}
