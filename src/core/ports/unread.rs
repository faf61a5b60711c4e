//! Systems whose socket table is not read here.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::{Kind, Owner, Owners, Row, Selection, Source};

pub(super) fn rows(_wanted: Selection) -> Option<(Vec<Row>, Source)> {
    None
}

pub(super) fn by_proc(_wanted: Selection) -> Option<Vec<Row>> {
    None
}

pub(super) fn some(_kind: Kind, _v6: Option<bool>, _port: u16, _until: Instant) -> io::Result<(Vec<Row>, bool)> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn exact(_local: SocketAddr, _peer: SocketAddr) -> Option<Option<Row>> {
    None
}

pub(super) fn owners(_wanted: HashSet<u64>) -> Owners {
    Owners::default()
}

pub(super) fn this_process() -> Owner {
    Owner { pid: std::process::id(), program: None }
}

pub(super) fn inode(_descriptor: i32) -> Option<u64> {
    None
}

pub(super) fn given_ports() -> Option<(u16, u16)> {
    None
}
