//! The kernel's socket table for Python: rows of plain values, which `socklens._ports` gives their names.

use std::collections::HashMap;
use std::net::SocketAddr;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use super::arguments::python_address;
use super::info::TcpState;
use super::owners::Owners;
use super::patience::unhurried;
use crate::core::ports::{self, Entry, Role, Source};

/// The table at one moment as (rows, source, processes that hide what they have), or None where it cannot be read here.
///
/// A row is (protocol, local, peer, state, recv_queue, send_queue, pid, program, role, accept_queue, accept_limit, seconds_left, uid, inode,
/// cookie, owner); an owner is (name, place, (file, line, cell)) of what `mine` has, as (name, place, object). `source` "sock_diag" or
/// "/proc/net/tcp" asks that one alone.
#[pyfunction]
#[pyo3(name = "_port_table", signature = (port, mine, source=None))]
pub(super) fn table<'py>(
    py: Python<'py>,
    port: Option<u16>,
    mine: &Bound<'py, PyList>,
    source: Option<&str>,
) -> PyResult<Option<(Bound<'py, PyList>, &'static str, usize)>> {
    let source = match source {
        None => None,
        Some("sock_diag") => Some(Source::SockDiag),
        Some("/proc/net/tcp") => Some(Source::Proc),
        Some(other) => return Err(PyValueError::new_err(format!("no source of rows is called {other:?}"))),
    };
    let Some(table) = unhurried(py, || Ok(ports::table(port, source)))? else { return Ok(None) };
    let mut values = Values {
        py,
        owners: Owners::of(mine)?,
        this: std::process::id(),
        addresses: HashMap::new(),
        states: HashMap::new(),
        programs: HashMap::new(),
    };
    let rows = table.entries.iter().map(|entry| values.row(entry)).collect::<PyResult<Vec<_>>>()?;
    let told = match table.source {
        Source::SockDiag => "sock_diag",
        Source::Proc => "/proc/net/tcp",
    };
    Ok(Some((PyList::new(py, rows)?, told, table.closed_doors)))
}

/// Values that many rows have are made once: a table may have ten thousand rows.
struct Values<'py> {
    py: Python<'py>,
    owners: Owners<'py>,
    this: u32,
    addresses: HashMap<SocketAddr, Bound<'py, PyAny>>,
    states: HashMap<u8, Bound<'py, TcpState>>,
    programs: HashMap<u32, Bound<'py, PyString>>,
}

impl<'py> Values<'py> {
    fn row(&mut self, entry: &Entry) -> PyResult<Bound<'py, PyTuple>> {
        let row = &entry.row;
        let listens = row.accept_queue.is_some();
        let fields = [
            self.value(if row.v6 { "tcp6" } else { "tcp" })?,
            self.address(row.local)?,
            row.peer.map(|peer| self.address(peer)).transpose()?.unwrap_or_else(|| self.none()),
            self.state(row.state)?,
            self.value((!listens).then_some(row.recv_queue))?,
            self.value((!listens).then_some(row.send_queue))?,
            self.value(entry.pid)?,
            self.program(entry)?,
            self.value(entry.role.map(word))?,
            self.value(row.accept_queue)?,
            self.value(row.accept_limit)?,
            self.value(row.rests.map(|left| left.as_secs_f64()))?,
            self.value(row.uid)?,
            self.value(row.inode)?,
            self.value(row.cookie)?,
            self.value(self.owners.find(entry, self.this))?,
        ];
        PyTuple::new(self.py, fields)
    }

    fn value<T: IntoPyObject<'py>>(&self, value: T) -> PyResult<Bound<'py, PyAny>> {
        value.into_bound_py_any(self.py)
    }

    fn none(&self) -> Bound<'py, PyAny> {
        self.py.None().into_bound(self.py)
    }

    fn address(&mut self, addr: SocketAddr) -> PyResult<Bound<'py, PyAny>> {
        if let Some(known) = self.addresses.get(&addr) {
            return Ok(known.clone());
        }
        let made = python_address(self.py, addr)?;
        self.addresses.insert(addr, made.clone());
        Ok(made)
    }

    fn state(&mut self, state: crate::core::TcpState) -> PyResult<Bound<'py, PyAny>> {
        if let Some(known) = self.states.get(&(state as u8)) {
            return Ok(known.clone().into_any());
        }
        let made = Bound::new(self.py, TcpState::from(state))?;
        self.states.insert(state as u8, made.clone());
        Ok(made.into_any())
    }

    fn program(&mut self, entry: &Entry) -> PyResult<Bound<'py, PyAny>> {
        let Some((pid, program)) = entry.pid.zip(entry.program.as_ref()) else { return Ok(self.none()) };
        let text = self.programs.entry(pid).or_insert_with(|| PyString::new(self.py, program));
        Ok(text.clone().into_any())
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Listener => "listener",
        Role::Accepted => "accepted",
        Role::Waiting => "not accepted yet",
        Role::Client => "client",
        Role::Bound => "bound",
    }
}
