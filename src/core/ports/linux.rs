//! Linux: the table by sock_diag(7), by /proc/net/tcp where that is refused, and the owners from /proc/PID/fd (proc(5)). No privileges are used; what
//! is not told is counted.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{Dir, Mode, OFlags, openat, readlinkat};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::diag::{self, BOUND, CONNECTED, EVERYTHING, Family, LISTENERS, Said};
use super::{Kind, Owner, Owners, Row, Selection, Source, proc_net};
use crate::core::sys;

/// The rows that are wanted, and who told them. `None` if nobody tells.
pub(super) fn rows(wanted: Selection) -> Option<(Vec<Row>, Source)> {
    if let Ok(rows) = by_diag(wanted) {
        return Some((rows, Source::SockDiag));
    }
    Some((by_proc(wanted)?, Source::Proc))
}

/// The rows as sock_diag tells them.
fn by_diag(wanted: Selection) -> io::Result<Vec<Row>> {
    let questions: &[(u32, u16, u16)] = match wanted {
        Selection::All => &[(EVERYTHING, 0, 0)],
        Selection::Listeners(port) => &[(LISTENERS, port, 0)],
        Selection::Local(port) => &[(EVERYTHING, port, 0)],
        Selection::Either(port) => &[(EVERYTHING, port, 0), (EVERYTHING, 0, port), (LISTENERS, 0, 0)],
    };
    let mut rows = Vec::new();
    for &(states, local, peer) in questions {
        let before = rows.len();
        if ask(&diag::dump_both(states, local, peer), &mut rows).is_ok() {
            continue;
        }
        rows.truncate(before);
        ask(&diag::dump(Family::V4, states, local, peer), &mut rows)?;
        match ask(&diag::dump(Family::V6, states, local, peer), &mut rows) {
            // A kernel without IPv6 has no second table.
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
            _ => {}
        }
    }
    // Two questions may have one answer, and in a dump a socket that changes its place can come twice.
    let mut seen = HashSet::with_capacity(rows.len());
    rows.retain(|row| seen.insert(row.cookie));
    Ok(rows)
}

/// The rows as the text files tell them.
pub(super) fn by_proc(wanted: Selection) -> Option<Vec<Row>> {
    let mut text = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows: Vec<Row> = proc_net::parse(&text).collect();
    text = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    rows.extend(proc_net::parse(&text));
    rows.retain(|row| wanted.has(row));
    Some(proc_net::each_once(rows))
}

/// The row of one connection, without reading the table. `None` if sock_diag is refused, or cannot tell.
pub(super) fn exact(local: SocketAddr, peer: SocketAddr) -> Option<Option<Row>> {
    let (local, peer) = (canonical(local), canonical(peer));
    let mut rows = Vec::new();
    match ask(&diag::exact(local, peer), &mut rows) {
        Ok(()) => {}
        // Also what a kernel without sock_diag says; the table knows.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return answers().then_some(None),
        Err(_) => return None,
    }
    // Where there is no such connection the kernel shows the listener.
    Some(rows.into_iter().find(|row| canonical(row.local) == local && row.peer.map(canonical) == Some(peer)))
}

/// Whether this kernel answers questions about TCP at all.
fn answers() -> bool {
    ask(&diag::dump(Family::V4, LISTENERS, 1, 0), &mut Vec::new()).is_ok()
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// The rows of a kind and a family, or both, as far as sock_diag has told them until then; whether that is all of them.
pub(super) fn some(kind: Kind, v6: Option<bool>, port: u16, until: Instant) -> io::Result<(Vec<Row>, bool)> {
    let states = match kind {
        Kind::Listening => LISTENERS,
        Kind::Bound => BOUND,
        Kind::Connected => CONNECTED,
    };
    let question = match v6 {
        None => diag::dump_both(states, port, 0),
        Some(false) => diag::dump(Family::V4, states, port, 0),
        Some(true) => diag::dump(Family::V6, states, port, 0),
    };
    let mut rows = Vec::new();
    let whole = ask_until(&question, &mut rows, Some(until))?;
    Ok((rows, whole))
}

/// One question and its whole answer.
fn ask(question: &[u8], rows: &mut Vec<Row>) -> io::Result<()> {
    ask_until(question, rows, None).map(|_| ())
}

/// One question; whether the answer was whole when the time was over.
fn ask_until(question: &[u8], rows: &mut Vec<Row>, until: Option<Instant>) -> io::Result<bool> {
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    rustix::net::send(&socket, question, SendFlags::empty())?;
    let dump = question[6..8] != 1u16.to_ne_bytes();
    // The kernel fills as much as is offered, up to 32 KiB.
    let mut memory = vec![0; 32 * 1024];
    loop {
        let (_, length) = match rustix::net::recv(&socket, &mut memory[..], RecvFlags::TRUNC) {
            Err(rustix::io::Errno::INTR) => continue,
            told => told?,
        };
        if length > memory.len() {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        match diag::parse(&memory[..length], rows) {
            Said::More if dump && until.is_some_and(|until| Instant::now() >= until) => return Ok(false),
            Said::More if dump => {}
            Said::More | Said::All => return Ok(true),
            Said::Refused(errno) => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// The process and its name for each of these sockets that one can be found for.
pub(super) fn owners(mut wanted: HashSet<u64>) -> Owners {
    let mut found = Owners { of: HashMap::with_capacity(wanted.len()), closed_doors: 0 };
    // This process first: after a fork a child may have the same socket, and the nearer answer is the more useful.
    let myself = std::process::id();
    look_here(myself, &mut wanted, &mut found);
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|&pid| pid != myself) {
        if wanted.is_empty() {
            break;
        }
        look(pid, &mut wanted, &mut found);
    }
    found
}

/// This process, as the owner of what it has open.
pub(super) fn this_process() -> Owner {
    let pid = std::process::id();
    Owner { pid, program: name(pid) }
}

/// The inode of the socket that is open under a descriptor.
pub(super) fn inode(descriptor: i32) -> Option<u64> {
    sys::socket_inode(descriptor)
}

/// What this process has open: descriptors are small numbers, so each is asked about.
fn look_here(pid: u32, wanted: &mut HashSet<u64>, found: &mut Owners) {
    const MOST: i32 = 1 << 16;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse().ok());
    let Some(size) = size.filter(|&size: &i32| size <= MOST) else { return look(pid, wanted, found) };
    let mut program = None;
    for inode in (0..size).filter_map(sys::socket_inode) {
        if wanted.is_empty() {
            return;
        }
        if wanted.remove(&inode) {
            let program = program.get_or_insert_with(|| name(pid)).clone();
            found.of.insert(inode, Owner { pid, program });
        }
    }
}

/// What one process has open.
fn look(pid: u32, wanted: &mut HashSet<u64>, found: &mut Owners) {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(rustix::fs::CWD, format!("/proc/{pid}/fd"), directory, Mode::empty());
    let list = match opened.and_then(|fd| Ok((Dir::read_from(&fd)?, fd))) {
        Ok((entries, fd)) => (entries, fd),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            found.closed_doors += 1;
            return;
        }
        // It has ended meanwhile.
        Err(_) => return,
    };
    let (entries, fd): (Dir, OwnedFd) = list;
    let mut program = None;
    let mut memory = Vec::with_capacity(64);
    for entry in entries.flatten() {
        if wanted.is_empty() {
            return;
        }
        memory.clear();
        let Ok(target) = readlinkat(&fd, entry.file_name(), memory) else {
            memory = Vec::with_capacity(64);
            continue;
        };
        if let Some(inode) = socket_inode(target.as_bytes()).filter(|inode| wanted.remove(inode)) {
            let program = program.get_or_insert_with(|| name(pid)).clone();
            found.of.insert(inode, Owner { pid, program });
        }
        memory = target.into_bytes();
    }
}

/// `socket:[15963]`.
fn socket_inode(target: &[u8]) -> Option<u64> {
    std::str::from_utf8(target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?).ok()?.parse().ok()
}

/// The name that the kernel has for a process: up to 15 bytes of anything, set by the program itself.
fn name(pid: u32) -> Option<Arc<str>> {
    let bytes = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes)).into())
}

/// The ports that the kernel gives away by itself (ip(7), ip_local_port_range).
pub(super) fn given_ports() -> Option<(u16, u16)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut words = text.split_ascii_whitespace().map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?))
}
