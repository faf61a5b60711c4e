//! The kernel's table of sockets: what it holds for a pair of endpoints, who holds a port, and all of it. Chosen once by system; where a system's
//! table is not read here, every answer is `None` or empty, never a guess.

#[cfg(target_os = "linux")]
mod diag;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod kernel;
#[cfg(not(target_os = "linux"))]
#[path = "unread.rs"]
mod kernel;
#[cfg(target_os = "linux")]
mod proc_net;
mod role;
mod table;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::TcpState;
pub use role::Role;
pub use table::{Ends, Entry, Table, roles, table};

/// One row of the kernel's table that keeps an address from being had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The address it has.
    pub local: SocketAddr,
    /// The other end, for a connection.
    pub peer: Option<SocketAddr>,
    /// Its state; [`TcpState::CLOSED`] if it is bound and does nothing else.
    pub state: TcpState,
    /// The process that has it open, if this user may know.
    pub pid: Option<u32>,
    /// That process's name.
    pub program: Option<String>,
}

/// A row as it is read, before anybody asks who owns it. Queues are in bytes; a SYN or a FIN is not counted among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// This end.
    pub local: SocketAddr,
    /// The other end; none for a listener and for a socket that is only bound.
    pub peer: Option<SocketAddr>,
    /// Its state.
    pub state: TcpState,
    /// Whether it is a socket for IPv6, which may carry IPv4 too.
    pub v6: bool,
    /// Whether a listener on IPv6 leaves IPv4 alone (IPV6_V6ONLY), where that is told.
    pub v6only: Option<bool>,
    /// Bytes that wait to be read.
    pub recv_queue: u32,
    /// Bytes that are not acknowledged.
    pub send_queue: u32,
    /// A listener's connections that wait to be accepted.
    pub accept_queue: Option<u32>,
    /// How many of them it allows, where that is told.
    pub accept_limit: Option<u32>,
    /// How long the kernel will keep what is left of a connection.
    pub rests: Option<Duration>,
    /// The user whose socket it is.
    pub uid: u32,
    /// 0 for sockets that no process has (any more): TIME_WAIT, or waiting to be accepted.
    pub inode: u64,
    /// The same for a socket's whole life, and no other's; 0 where that is not told.
    pub cookie: u64,
    /// Bytes that have arrived over its life, where that was asked for.
    pub arrived: Option<u64>,
    /// Bytes that its program has written over its life, where that was asked for.
    pub written: Option<u64>,
}

/// Who has told the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// sock_diag(7).
    SockDiag,
    /// /proc/net/tcp and tcp6.
    Proc,
}

/// Which rows are wanted. The kernel itself leaves out the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    All,
    /// Listeners on this port.
    Listeners(u16),
    /// Rows with this local port.
    Local(u16),
    /// Rows with this port at either end, and all listeners.
    Either(u16),
}

impl Selection {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "no rows there"))]
    fn has(self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::Listeners(port) => row.state == TcpState::LISTEN && row.local.port() == port,
            Self::Local(port) => row.local.port() == port,
            Self::Either(port) => {
                row.state == TcpState::LISTEN || row.local.port() == port || row.peer.is_some_and(|peer| peer.port() == port)
            }
        }
    }
}

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    pid: u32,
    program: Option<Arc<str>>,
}

/// Who has which socket, by inode.
#[derive(Debug, Default)]
struct Owners {
    of: HashMap<u64, Owner>,
    /// Processes that do not let this user see what they have open.
    closed_doors: usize,
}

fn inodes<'a>(rows: impl Iterator<Item = &'a Row>) -> HashSet<u64> {
    rows.map(|row| row.inode).filter(|&inode| inode != 0).collect()
}

/// What sockets do, for a look at some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They wait for clients: few, and the kernel has them apart.
    Listening,
    /// They have a port, and neither listen nor are connected; told from Linux 6.8 on.
    Bound,
    /// They have another end, in any state.
    Connected,
}

/// Rows of one kind with this local port, 0 for any, as far as they were told until then, and whether these are all. `v6` chooses a family. Nobody is
/// asked whose they are.
///
/// # Errors
/// The kernel's, where sock_diag is refused; [`io::ErrorKind::Unsupported`] where there is none.
pub fn some(kind: Kind, v6: Option<bool>, port: u16, until: Instant) -> io::Result<(Vec<Row>, bool)> {
    kernel::some(kind, v6, port, until)
}

/// The number by which the table has the socket that is open under a descriptor of this process; `None` if it is no socket, or not told here.
pub fn inode(descriptor: i32) -> Option<u64> {
    kernel::inode(descriptor)
}

/// The state of the connection between two endpoints; [`TcpState::CLOSED`] if there is none in the table. `None` if the table cannot be read.
pub fn state_of(local: SocketAddr, peer: SocketAddr) -> Option<TcpState> {
    if let Some(found) = kernel::exact(local, peer) {
        return Some(found.map_or(TcpState::CLOSED, |row| row.state));
    }
    let (rows, _) = kernel::rows(Selection::Local(local.port()))?;
    let found = rows.iter().find(|row| same(row.local, local) && row.peer.is_some_and(|other| same(other, peer)));
    Some(found.map_or(TcpState::CLOSED, |row| row.state))
}

/// What has become of the bytes that were sent to a socket of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many have arrived over its life.
    pub(super) arrived: u64,
    /// How many of them nobody has read yet.
    pub(super) unread: u32,
}

/// How far the socket between these endpoints has come with its input. `Some(None)` if it is none of this machine's, `None` if nobody can tell.
pub(super) fn taken(local: SocketAddr, peer: SocketAddr) -> Option<Option<Taken>> {
    let row = kernel::exact(local, peer)?;
    row.map_or(Some(None), |row| row.arrived.map(|arrived| Some(Taken { arrived, unread: row.recv_queue })))
}

/// The state of the socket between these endpoints; `None` if it is none of this machine's, or nobody can tell.
pub(super) fn state_between(local: SocketAddr, peer: SocketAddr) -> Option<TcpState> {
    kernel::exact(local, peer)?.map(|row| row.state)
}

/// How many bytes were written to the socket between these endpoints over its life, and how many of them are not acknowledged; `None` if it is none of
/// this machine's, or nobody can tell.
pub(super) fn written(local: SocketAddr, peer: SocketAddr) -> Option<(u64, u32)> {
    let row = kernel::exact(local, peer)??;
    row.written.map(|written| (written, row.send_queue))
}

/// [`TcpState::LISTEN`] if anybody listens on exactly this address, else [`TcpState::CLOSED`]. `None` if the table cannot be read.
pub fn listener_state(local: SocketAddr) -> Option<TcpState> {
    let (rows, _) = kernel::rows(Selection::Listeners(local.port()))?;
    let listens = rows.iter().any(|row| same(row.local, local));
    Some(if listens { TcpState::LISTEN } else { TcpState::CLOSED })
}

/// Who keeps `wanted` from being had: listeners first, then sockets that are only bound, then connections. `None` if the table cannot be read.
pub fn holders(wanted: SocketAddr) -> Option<Vec<Holder>> {
    let (mut rows, _) = kernel::rows(Selection::Local(wanted.port()))?;
    rows.retain(|row| collides(row.local, wanted));
    // A listener before a connection, and who has this very address before who has all of them.
    let rank = |state| match state {
        TcpState::LISTEN => 0,
        TcpState::CLOSED => 1,
        _ => 2,
    };
    rows.sort_by_key(|row| (rank(row.state), !same(row.local, wanted), row.state == TcpState::TIME_WAIT));
    let mut owners = kernel::owners(inodes(rows.iter())).of;
    let owned = |row: Row| {
        let (pid, program) = owners.remove(&row.inode).map(|owner| (owner.pid, owner.program)).unzip();
        Holder { local: row.local, peer: row.peer, state: row.state, pid, program: program.flatten().map(|name| name.to_string()) }
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
