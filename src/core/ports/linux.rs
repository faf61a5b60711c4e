//! Linux: /proc/net/tcp and tcp6 (proc_net(5)), and /proc/PID/fd for the owners. Processes of other users stay unnamed.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use procfs::net::TcpNetEntry;
use procfs::process::{FDTarget, Process, all_processes};

use super::Row;
use crate::core::state::TcpState;

/// All TCP sockets of this network namespace.
pub(super) fn rows() -> Option<Vec<Row>> {
    let mut entries = procfs::net::tcp().ok()?;
    // A kernel without IPv6 has no second table.
    entries.extend(procfs::net::tcp6().unwrap_or_default());
    Some(entries.into_iter().filter_map(row).collect())
}

fn row(entry: TcpNetEntry) -> Option<Row> {
    let state = TcpState::from_number(entry.state.to_u8())?;
    let peer: Option<SocketAddr> = (state != TcpState::LISTEN).then_some(entry.remote_address);
    Some(Row { local: entry.local_address, peer, state, inode: entry.inode })
}

/// The process and its name for each socket that one can be found for.
pub(super) fn owners(rows: &[Row]) -> HashMap<u64, (u32, Option<String>)> {
    let mut wanted: HashSet<u64> = rows.iter().map(|row| row.inode).filter(|&inode| inode != 0).collect();
    let mut owners = HashMap::new();
    let mut look = |process: Process| {
        let Ok(descriptors) = process.fd() else { return };
        for descriptor in descriptors.flatten() {
            if let FDTarget::Socket(inode) = descriptor.target {
                if wanted.remove(&inode) {
                    let name = process.stat().ok().map(|stat| stat.comm);
                    owners.insert(inode, (process.pid().unsigned_abs(), name));
                }
            }
        }
    };
    // This process first: after a fork a child may have the same socket, and the nearer answer is the more useful.
    if let Ok(this) = Process::myself() {
        look(this);
    }
    for process in all_processes().into_iter().flatten().flatten() {
        look(process);
    }
    owners
}
