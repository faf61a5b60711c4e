//! What a socket is to others, derived from the whole table: who listens, who was accepted from a listener, who connected. Pure; where the table
//! does not settle it there is no answer.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::{Row, is_any_v6};
use crate::core::state::TcpState;

/// A socket's part in what goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It waits for clients.
    Listener,
    /// It was accepted from a listener that is still there.
    Accepted,
    /// The kernel has connected it, or is about to, and no program has accepted it yet.
    Waiting,
    /// It connected to a listener.
    Client,
    /// It has a port, and neither listens nor is connected.
    Bound,
}

/// The listeners of a table by port, and its connections.
pub(super) struct Roles<'a> {
    rows: &'a [Row],
    listeners: HashMap<u16, Vec<&'a Row>>,
    /// Only where somebody asks: on loopback nobody does.
    connections: OnceCell<HashSet<(SocketAddr, SocketAddr)>>,
    given: Option<(u16, u16)>,
}

impl<'a> Roles<'a> {
    /// `given` are the ports that the kernel gives to clients by itself.
    pub(super) fn of(rows: &'a [Row], given: Option<(u16, u16)>) -> Self {
        let mut listeners: HashMap<u16, Vec<&Row>> = HashMap::new();
        for row in rows.iter().filter(|row| row.state == TcpState::LISTEN) {
            listeners.entry(row.local.port()).or_default().push(row);
        }
        Self { rows, listeners, connections: OnceCell::new(), given }
    }

    /// The role of one of the rows.
    pub(super) fn role(&self, row: &Row) -> Option<Role> {
        let Some(peer) = row.peer else {
            return Some(if row.state == TcpState::LISTEN { Role::Listener } else { Role::Bound });
        };
        match row.state {
            TcpState::SYN_SENT => return Some(Role::Client),
            TcpState::SYN_RECEIVED => return Some(Role::Waiting),
            // A socket that a program has had and closed goes on to other states: nobody has had this one.
            TcpState::ESTABLISHED | TcpState::CLOSE_WAIT if row.inode == 0 => return Some(Role::Waiting),
            _ => {}
        }
        match (self.listened(row.local, true), self.listened(peer, self.is_here(row.local, peer))) {
            (true, false) => Some(Role::Accepted),
            (false, true) => Some(Role::Client),
            // Both ends have a listener's port: the table does not tell which one connected.
            (true, true) => None,
            (false, false) => self.by_port(row.local, peer).then_some(Role::Client),
        }
    }

    /// Whether a listener has this endpoint; one on all addresses has it only if it is this machine's.
    fn listened(&self, at: SocketAddr, here: bool) -> bool {
        let ip = at.ip().to_canonical();
        self.listeners.get(&at.port()).into_iter().flatten().any(|listener| {
            let on = listener.local.ip().to_canonical();
            let every = on.is_unspecified() && on.is_ipv4() == ip.is_ipv4() || is_any_v6(on) && listener.v6only != Some(true);
            on == ip || here && every
        })
    }

    /// Whether the peer of a connection is on this machine too.
    fn is_here(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let (local, peer) = (plain(local), plain(peer));
        peer.ip().is_loopback() || peer.ip() == local.ip() || self.connections().contains(&(peer, local))
    }

    fn connections(&self) -> &HashSet<(SocketAddr, SocketAddr)> {
        self.connections.get_or_init(|| self.rows.iter().filter_map(|row| Some((plain(row.local), plain(row.peer?)))).collect())
    }

    /// Without any listener: a port that the kernel gives to clients, towards one that it does not give, on another machine.
    fn by_port(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let given = |port: u16| self.given.is_some_and(|(first, last)| (first..=last).contains(&port));
        given(local.port()) && !given(peer.port()) && !self.is_here(local, peer)
    }
}

/// Without the form in which a dual-stack socket shows an IPv4 address.
fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(local: &str, peer: &str, state: TcpState, inode: u64) -> Row {
        let local: SocketAddr = local.parse().unwrap();
        Row {
            local,
            peer: peer.parse().ok(),
            state,
            v6: local.is_ipv6(),
            v6only: None,
            recv_queue: 0,
            send_queue: 0,
            accept_queue: None,
            accept_limit: None,
            rests: None,
            uid: 0,
            inode,
            cookie: 0,
            arrived: None,
            written: None,
        }
    }

    fn roles(rows: &[Row]) -> Vec<Option<Role>> {
        let roles = Roles::of(rows, Some((32768, 60999)));
        rows.iter().map(|row| roles.role(row)).collect()
    }

    #[test]
    fn the_picture_of_the_lecture() {
        use TcpState::{CLOSE_WAIT, CLOSED, ESTABLISHED, LISTEN, SYN_RECEIVED, TIME_WAIT};
        let (a, b, c) = ("127.0.0.101:6666", "127.0.0.110:50320", "127.0.0.115:40520");
        let rows = [
            row(a, "", LISTEN, 1),
            row(a, b, ESTABLISHED, 2),
            row(b, a, ESTABLISHED, 3),
            row(a, c, CLOSE_WAIT, 0),
            row(c, a, TIME_WAIT, 0),
            row(a, "127.0.0.9:7", SYN_RECEIVED, 0),
            row("127.0.0.1:7", "", CLOSED, 4),
        ];
        let expected = [Role::Listener, Role::Accepted, Role::Client, Role::Waiting, Role::Client, Role::Waiting, Role::Bound];
        assert_eq!(roles(&rows), expected.map(Some));
    }

    #[test]
    fn a_listener_on_every_address_is_not_a_listener_elsewhere() {
        use TcpState::{ESTABLISHED, LISTEN};
        let rows = [
            row("0.0.0.0:80", "", LISTEN, 1),
            row("10.0.0.1:40000", "93.184.215.14:80", ESTABLISHED, 2),
            row("10.0.0.1:80", "93.184.215.14:40000", ESTABLISHED, 3),
            row("10.0.0.1:40000", "93.184.215.14:50000", ESTABLISHED, 4),
        ];
        assert_eq!(roles(&rows), [Some(Role::Listener), Some(Role::Client), Some(Role::Accepted), None]);
    }

    #[test]
    fn a_listener_of_ipv6_alone_has_no_ipv4_clients() {
        use TcpState::{ESTABLISHED, LISTEN};
        let mut rows = [row("[::]:6666", "", LISTEN, 1), row("[::ffff:127.0.0.1]:6666", "127.0.0.1:40000", ESTABLISHED, 2)];
        assert_eq!(roles(&rows)[1], Some(Role::Accepted));
        rows[0].v6only = Some(true);
        assert_eq!(roles(&rows)[1], None);
    }

    #[test]
    fn two_listening_ports_settle_nothing() {
        use TcpState::{ESTABLISHED, LISTEN};
        let (a, b) = ("127.0.0.1:1000", "127.0.0.1:2000");
        let rows = [row(a, "", LISTEN, 1), row(b, "", LISTEN, 2), row(a, b, ESTABLISHED, 3), row(b, a, ESTABLISHED, 4)];
        assert_eq!(roles(&rows)[2..], [None, None]);
    }
}
