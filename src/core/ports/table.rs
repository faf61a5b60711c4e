//! The whole table at one moment, with owners and roles: a frozen copy in a settled order.

use std::net::SocketAddr;
use std::sync::Arc;

use super::role::{Role, Roles};
use super::{Row, Selection, Source, inodes, kernel};
use crate::core::state::TcpState;

/// A row, and what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As the kernel tells it.
    pub row: Row,
    /// The process that has it open, if this user may know.
    pub pid: Option<u32>,
    /// That process's name.
    pub program: Option<Arc<str>>,
    /// Derived from the other rows, where they settle it.
    pub role: Option<Role>,
}

/// The table at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// By local port; listeners first, then by the other end.
    pub entries: Vec<Entry>,
    /// Who has told the rows.
    pub source: Source,
    /// Processes that do not let this user see which sockets they have.
    pub closed_doors: usize,
}

/// All TCP sockets of this network namespace, or those with this port at either end. `None` if the table cannot be read here.
///
/// `source` asks one teller alone; without one, /proc is read where sock_diag is refused. `is_ours` tells the rows that the caller knows to be this
/// process's: they need not be looked for among what processes have open.
pub fn table(port: Option<u16>, source: Option<Source>, is_ours: impl Fn(&Row) -> bool) -> Option<Table> {
    let wanted = port.map_or(Selection::All, Selection::Either);
    let (rows, source) = match source {
        Some(Source::Proc) => (kernel::by_proc(wanted)?, Source::Proc),
        asked => kernel::rows(wanted).filter(|(_, told)| asked.is_none_or(|asked| asked == *told))?,
    };
    let roles = Roles::of(&rows, kernel::given_ports());
    let shown = |row: &&Row| port.is_none_or(|port| row.local.port() == port || row.peer.is_some_and(|peer| peer.port() == port));
    let rows: Vec<(&Row, bool)> = rows.iter().filter(shown).map(|row| (row, row.inode != 0 && is_ours(row))).collect();
    let owners = kernel::owners(inodes(rows.iter().filter(|(_, ours)| !ours).map(|(row, _)| *row)));
    let this = rows.iter().any(|(_, ours)| *ours).then(kernel::this_process);
    let entry = |&(row, ours): &(&Row, bool)| {
        let owner = if ours { this.as_ref() } else { owners.of.get(&row.inode) };
        Entry {
            row: row.clone(),
            pid: owner.map(|owner| owner.pid),
            program: owner.and_then(|owner| owner.program.clone()),
            role: roles.role(row),
        }
    };
    let mut entries: Vec<Entry> = rows.iter().map(entry).collect();
    entries.sort_by_cached_key(|entry| order(&entry.row));
    Some(Table { entries, source, closed_doors: owners.closed_doors })
}

/// What somebody else's table tells of a socket: its end, the other one, and the state. Roles are derived from that.
pub type Ends = (SocketAddr, Option<SocketAddr>, TcpState);

/// The roles in a table that somebody else has read, by the same rules. Which connections nobody has accepted yet such a table does not tell.
pub fn roles(ends: &[Ends]) -> Vec<Option<Role>> {
    let row = |&(local, peer, state): &Ends| Row {
        local,
        peer,
        state,
        v6: local.is_ipv6(),
        v6only: None,
        recv_queue: 0,
        send_queue: 0,
        accept_queue: None,
        accept_limit: None,
        rests: None,
        uid: 0,
        inode: 1, // somebody has it
        cookie: 0,
        arrived: None,
        written: None,
    };
    let rows: Vec<Row> = ends.iter().map(row).collect();
    let roles = Roles::of(&rows, kernel::given_ports());
    rows.iter().map(|row| roles.role(row)).collect()
}

fn order(row: &Row) -> (u16, bool, SocketAddr, Option<SocketAddr>, u64) {
    (row.local.port(), row.state != TcpState::LISTEN, row.local, row.peer, row.cookie)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn both_sources_tell_the_same() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let client = TcpStream::connect(addr).unwrap();
        for source in [Source::SockDiag, Source::Proc] {
            let table = table(Some(addr.port()), Some(source), |_| false).unwrap();
            let seen: Vec<_> = table.entries.iter().map(|entry| (entry.row.state, entry.role, entry.pid)).collect();
            let me = Some(std::process::id());
            let expected = [
                (TcpState::LISTEN, Some(Role::Listener), me),
                (TcpState::ESTABLISHED, Some(Role::Waiting), None),
                (TcpState::ESTABLISHED, Some(Role::Client), me),
            ];
            assert!(expected.iter().all(|row| seen.contains(row)) && seen.len() == 3, "{source:?}: {seen:?}");
            assert_eq!(table.entries[0].row.accept_queue.is_some(), table.entries[0].row.peer.is_none());
        }
        drop(client);
    }

    #[test]
    fn a_connection_is_found_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        assert_eq!(kernel::exact(local, peer).unwrap().unwrap().state, TcpState::ESTABLISHED);
        // The kernel would answer with the listener.
        let nobody = "127.0.0.77:7".parse().unwrap();
        assert_eq!(kernel::exact(peer, nobody), Some(None));
    }
}
