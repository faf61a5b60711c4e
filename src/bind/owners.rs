//! Which object of this program has which socket of the table. Objects are only looked at, and none is kept: what is handed out are names and lines.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::connection::Connection;
use super::listener::Listener;
use crate::core::ports::{Entry, Role, Row};

type Ends = (SocketAddr, Option<SocketAddr>);

/// The sockets of this program: by their endpoints, open and closed ones apart, and others by their inode.
pub(super) struct Owners<'py> {
    open: HashMap<Ends, Bound<'py, PyTuple>>,
    closed: HashMap<Ends, Bound<'py, PyTuple>>,
    plain: HashMap<u64, Bound<'py, PyTuple>>,
}

impl<'py> Owners<'py> {
    /// From (name, place in it, object) for each; the object is a Connection, a Listener, or the inode of another socket. The first name counts.
    pub(super) fn of(mine: &Bound<'py, PyList>) -> PyResult<Self> {
        let py = mine.py();
        let mut owners = Self { open: HashMap::new(), closed: HashMap::new(), plain: HashMap::new() };
        for item in mine {
            let (name, place, object): (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            if let Ok(connection) = object.cast::<Connection>() {
                let connection = connection.get();
                let ends = (plain(connection.core.local_addr()), Some(plain(connection.core.peer_addr())));
                let made = (name, place, connection.site.parts(py)).into_pyobject(py)?;
                let map = if connection.core.is_closed() { &mut owners.closed } else { &mut owners.open };
                map.entry(ends).or_insert(made);
            } else if let Ok(listener) = object.cast::<Listener>() {
                let listener = listener.get();
                if !listener.core.is_closed() {
                    let made = (name, place, listener.site.parts(py)).into_pyobject(py)?;
                    owners.open.entry((plain(listener.core.local_addr()), None)).or_insert(made);
                }
            } else {
                let inode: u64 = object.extract()?;
                owners.plain.entry(inode).or_insert((name, place, py.None()).into_pyobject(py)?);
            }
        }
        Ok(owners)
    }

    /// Who has the socket of a row, or had it: what is left of a connection is still its. A connection that waits is its listener's.
    pub(super) fn find(&self, entry: &Entry, this: u32) -> Option<&Bound<'py, PyTuple>> {
        let row = &entry.row;
        let ends = (plain(row.local), row.peer.map(plain));
        if entry.role == Some(Role::Waiting) {
            return self.waited_for(row);
        }
        match entry.pid {
            Some(pid) if pid == this => self.open.get(&ends).or_else(|| self.plain.get(&row.inode)),
            // TIME_WAIT comes while a program still has the socket open, too.
            None if row.inode == 0 => self.closed.get(&ends).or_else(|| self.open.get(&ends)),
            _ => None,
        }
    }

    fn waited_for(&self, row: &Row) -> Option<&Bound<'py, PyTuple>> {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let (ip, port) = (row.local.ip(), row.local.port());
        let at = [ip, ip.to_canonical(), any[0], any[1]];
        at.iter().find_map(|&ip| self.open.get(&(SocketAddr::new(ip, port), None)))
    }
}

/// Without its zone, which the table does not always tell.
fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port())
}
