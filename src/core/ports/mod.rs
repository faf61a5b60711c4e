//! The kernel's table of sockets: what it holds for a pair of endpoints, and who holds a port. Chosen once by system; where a system's table
//! is not read here, every answer is `None` or empty, never a guess.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod table;
#[cfg(not(target_os = "linux"))]
#[path = "unread.rs"]
mod table;

use std::net::{IpAddr, SocketAddr};

use super::state::TcpState;

/// One row of the kernel's table that keeps an address from being had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The address it has.
    pub local: SocketAddr,
    /// The other end, for a connection.
    pub peer: Option<SocketAddr>,
    /// Its state.
    pub state: TcpState,
    /// The process that has it open, if this user may know.
    pub pid: Option<u32>,
    /// That process's name.
    pub program: Option<String>,
}

/// A row as it is read, before anybody asks who owns it.
#[derive(Clone, Debug)]
struct Row {
    local: SocketAddr,
    peer: Option<SocketAddr>,
    state: TcpState,
    /// 0 for sockets that no process has (any more): TIME_WAIT, or waiting to be accepted.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "no rows there"))]
    inode: u64,
}

/// The state of the connection between two endpoints; [`TcpState::CLOSED`] if there is none in the table. `None` if the table cannot be read.
pub fn state_of(local: SocketAddr, peer: SocketAddr) -> Option<TcpState> {
    let rows = table::rows()?;
    let found = rows.iter().find(|row| same(row.local, local) && row.peer.is_some_and(|other| same(other, peer)));
    Some(found.map_or(TcpState::CLOSED, |row| row.state))
}

/// [`TcpState::LISTEN`] if anybody listens on exactly this address, else [`TcpState::CLOSED`]. `None` if the table cannot be read.
pub fn listener_state(local: SocketAddr) -> Option<TcpState> {
    let rows = table::rows()?;
    let listens = rows.iter().any(|row| row.state == TcpState::LISTEN && same(row.local, local));
    Some(if listens { TcpState::LISTEN } else { TcpState::CLOSED })
}

/// Who keeps `wanted` from being had: listeners first, then connections of the same port. `None` if the table cannot be read.
pub fn holders(wanted: SocketAddr) -> Option<Vec<Holder>> {
    let mut rows = table::rows()?;
    rows.retain(|row| collides(row.local, wanted));
    // A listener before a connection, and who has this very address before who has all of them.
    rows.sort_by_key(|row| (row.state != TcpState::LISTEN, !same(row.local, wanted), row.state == TcpState::TIME_WAIT));
    let owners = table::owners(&rows);
    let owned = |row: Row| {
        let (pid, program) = owners.get(&row.inode).cloned().unzip();
        Holder { local: row.local, peer: row.peer, state: row.state, pid, program: program.flatten() }
    };
    Some(rows.into_iter().map(owned).collect())
}

/// Whether two sockets cannot have these addresses at once: the same port, on the same address or on all addresses.
fn collides(held: SocketAddr, wanted: SocketAddr) -> bool {
    let (held_ip, wanted_ip) = (held.ip().to_canonical(), wanted.ip().to_canonical());
    held.port() == wanted.port()
        && (held_ip == wanted_ip
            || (held_ip.is_ipv4() == wanted_ip.is_ipv4() && (held_ip.is_unspecified() || wanted_ip.is_unspecified()))
            // A dual-stack listener on :: has the port for IPv4 too; whether it is one the table does not say.
            || is_any_v6(held_ip)
            || is_any_v6(wanted_ip))
}

fn is_any_v6(ip: IpAddr) -> bool {
    ip.is_ipv6() && ip.is_unspecified()
}

/// Equal but for the form in which a dual-stack socket shows an IPv4 address, and for a zone that the table does not tell.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_collide() {
        for (held, wanted, both) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.2:80", true),
            ("127.0.0.2:80", "0.0.0.0:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::1]:80", "127.0.0.1:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ] {
            assert_eq!(collides(at(held), at(wanted)), both, "{held} and {wanted}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let found = holders(addr).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].state, found[0].pid), (TcpState::LISTEN, Some(std::process::id())));
        assert!(found[0].program.is_some());
        assert_eq!(listener_state(addr), Some(TcpState::LISTEN));
        drop(listener);
        assert_eq!(listener_state(addr), Some(TcpState::CLOSED));
    }
}
