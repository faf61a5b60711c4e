//! Which object of this program has which socket of the table. Objects are only looked at, and none is kept: what is handed out are names and lines.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pyo3::exceptions::{PyOSError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple, PyType};

use super::connection::Connection;
use super::listener::Listener;
use crate::core::ports::{self, Entry, Role, Row};

type Ends = (SocketAddr, Option<SocketAddr>);

/// Where an object was found: in which list of those that were given, and at which place of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    list: usize,
    at: usize,
}

/// The sockets of this program: by their endpoints, open and closed ones apart, and others by their inode. No Python in it.
#[derive(Debug, Default)]
pub(super) struct Owners {
    open: HashMap<Ends, Place>,
    closed: HashMap<Ends, Place>,
    plain: HashMap<u64, Place>,
}

impl Owners {
    /// From (name, places, values) for each variable; of a list of values, Connections, Listeners, and those of the type `plain`, which has
    /// `fileno`, count. A tuple has the inodes of sockets that no object of Python's stands for. The first name of a socket counts.
    pub(super) fn of(found: &Bound<'_, PyList>, plain_type: Option<&Bound<'_, PyType>>) -> PyResult<Self> {
        let mut owners = Self::default();
        for (list, item) in found.iter().enumerate() {
            let values = values(&item)?;
            let Ok(values) = values.cast::<PyList>() else {
                for (at, inode) in values.extract::<Vec<u64>>()?.into_iter().enumerate() {
                    owners.plain.entry(inode).or_insert(Place { list, at });
                }
                continue;
            };
            for (at, value) in values.iter().enumerate() {
                let place = Place { list, at };
                if let Ok(connection) = value.cast::<Connection>() {
                    let core = &connection.get().core;
                    let map = if core.is_closed() { &mut owners.closed } else { &mut owners.open };
                    map.entry((plain(core.local_addr()), Some(plain(core.peer_addr())))).or_insert(place);
                } else if let Ok(listener) = value.cast::<Listener>() {
                    let core = &listener.get().core;
                    if !core.is_closed() {
                        owners.open.entry((plain(core.local_addr()), None)).or_insert(place);
                    }
                } else if let Some(kind) = plain_type {
                    if value.is_instance(kind)? {
                        if let Some(inode) = inode(&value)? {
                            owners.plain.entry(inode).or_insert(place);
                        }
                    }
                }
            }
        }
        Ok(owners)
    }

    /// Whether a row is certainly this process's own. Listeners of several processes may share an address (SO_REUSEPORT), connections cannot.
    pub(super) fn has(&self, row: &Row) -> bool {
        row.peer.is_some_and(|peer| self.open.contains_key(&(plain(row.local), Some(plain(peer))))) || self.plain.contains_key(&row.inode)
    }

    /// Who has the socket of a row, or had it: what is left of a connection is still its. A connection that waits is its listener's.
    pub(super) fn find(&self, entry: &Entry, this: u32) -> Option<Place> {
        let row = &entry.row;
        let ends = (plain(row.local), row.peer.map(plain));
        if entry.role == Some(Role::Waiting) {
            return self.waited_for(row);
        }
        match entry.pid {
            Some(pid) if pid == this => self.open.get(&ends).or_else(|| self.plain.get(&row.inode)).copied(),
            // TIME_WAIT comes while a program still has the socket open, too.
            None if row.inode == 0 => self.closed.get(&ends).or_else(|| self.open.get(&ends)).copied(),
            _ => None,
        }
    }

    fn waited_for(&self, row: &Row) -> Option<Place> {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let (ip, port) = (row.local.ip(), row.local.port());
        let at = [ip, ip.to_canonical(), any[0], any[1]];
        at.iter().find_map(|&ip| self.open.get(&(SocketAddr::new(ip, port), None))).copied()
    }
}

/// Who has a socket, in names and lines.
pub(super) struct Owner {
    name: Py<PyAny>,
    /// Its place in what the variable holds; None if that has no places.
    place: Py<PyAny>,
    site: Option<(Py<PyString>, i32, Option<u32>)>,
}

impl Owner {
    /// As (name, place, (file, line, cell)).
    pub(super) fn told<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let site = self.site.as_ref().map(|(file, line, cell)| (file.clone_ref(py), *line, *cell));
        (self.name.clone_ref(py), self.place.clone_ref(py), site).into_pyobject(py)
    }
}

/// The owner at a place of what was given to [`Owners::of`].
pub(super) fn owner(found: &Bound<'_, PyList>, place: Place) -> PyResult<Owner> {
    let py = found.py();
    let item = found.get_item(place.list)?;
    let (name, places) = (item.get_item(0)?.unbind(), item.get_item(1)?);
    let at = if places.is_none() { places } else { places.get_item(place.at)? };
    let value = values(&item)?.get_item(place.at)?;
    let site = if let Ok(connection) = value.cast::<Connection>() {
        connection.get().site.parts(py)
    } else if let Ok(listener) = value.cast::<Listener>() {
        listener.get().site.parts(py)
    } else {
        None
    };
    Ok(Owner { name, place: at.unbind(), site })
}

fn values<'py>(item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    item.cast::<PyTuple>()?.get_item(2)
}

/// By which the table has a socket of Python's; `None` if it is closed.
fn inode(socket: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    let number = socket.call_method0("fileno").and_then(|number| number.extract());
    match number {
        Ok(number) => Ok(ports::inode(number)),
        Err(error) => {
            let py = socket.py();
            let closed = error.is_instance_of::<PyOSError>(py)
                || error.is_instance_of::<PyValueError>(py)
                || error.is_instance_of::<PyOverflowError>(py);
            if closed { Ok(None) } else { Err(error) }
        }
    }
}

/// Without its zone, which the table does not always tell.
fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port())
}
