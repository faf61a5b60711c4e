//! The kernel's socket table for Python: rows that become Python's values where they are read, because a table may have ten thousand of them.
//! `socklens._ports` gives their fields meaning.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple, PyType};

use super::arguments::python_address;
use super::info::State;
use super::owners::{self, Owner, Owners};
use super::patience::unhurried;
use crate::core::ports::{self, Entry, Kind, Role, Source};
use crate::core::state;

/// The table at one moment as (rows, source, processes that hide what they have), or None where it cannot be read here.
///
/// `mine` is a list of (name, places or None, values); values of the type `plain` are sockets of Python's. `source` "sock_diag" or "/proc/net/tcp"
/// asks that one alone.
#[pyfunction]
#[pyo3(name = "_port_table", signature = (port, mine, plain=None, source=None))]
pub(super) fn table(
    py: Python<'_>,
    port: Option<u16>,
    mine: &Bound<'_, PyList>,
    plain: Option<&Bound<'_, PyType>>,
    source: Option<&str>,
) -> PyResult<Option<(PortRows, &'static str, usize)>> {
    let source = match source {
        None => None,
        Some("sock_diag") => Some(Source::SockDiag),
        Some("/proc/net/tcp") => Some(Source::Proc),
        Some(other) => return Err(PyValueError::new_err(format!("no source of rows is called {other:?}"))),
    };
    let owners = Owners::of(mine, plain)?;
    let Some(table) = unhurried(py, || Ok(ports::table(port, source, |row| owners.has(row))))? else { return Ok(None) };
    let this = std::process::id();
    let owned = |entry: Entry| {
        let owner = owners.find(&entry, this).map(|place| owners::owner(mine, place)).transpose()?;
        Ok(Owned { entry, owner })
    };
    let rows = table.entries.into_iter().map(owned).collect::<PyResult<_>>()?;
    let told = match table.source {
        Source::SockDiag => "sock_diag",
        Source::Proc => "/proc/net/tcp",
    };
    Ok(Some((PortRows(Arc::new(rows)), told, table.closed_doors)))
}

/// Rows of one kind, "listening", "bound" or "connected", with a local port or 0 for any, of a family or of both, as far as they were told within so
/// many seconds; and whether these are all. Whose they are, and their roles, are not looked for.
#[pyfunction]
#[pyo3(name = "_port_rows")]
pub(super) fn some(py: Python<'_>, kind: &str, port: u16, v6: Option<bool>, seconds: f64) -> PyResult<(PortRows, bool)> {
    let kind = match kind {
        "listening" => Kind::Listening,
        "bound" => Kind::Bound,
        "connected" => Kind::Connected,
        other => return Err(PyValueError::new_err(format!("no kind of rows is called {other:?}"))),
    };
    let until = Instant::now() + Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX / 4);
    let (rows, whole) = unhurried(py, || Ok(ports::some(kind, v6, port, until)))?.map_err(|error| match error.raw_os_error() {
        Some(code) => PyOSError::new_err((code, error.to_string())),
        None => PyOSError::new_err(error.to_string()),
    })?;
    let owned = |row| Owned { entry: Entry { row, pid: None, program: None, role: None }, owner: None };
    Ok((PortRows(Arc::new(rows.into_iter().map(owned).collect())), whole))
}

/// A socket as somebody else's table has it: host, port, the peer's host and port, and the state's number.
type Told = (IpAddr, u16, Option<(IpAddr, u16)>, u8);

/// The roles in a table that was read elsewhere, of rows (host, port, (host, port) of the peer or None, state); None where the table does not
/// settle it.
#[pyfunction]
#[pyo3(name = "_port_roles")]
pub(super) fn roles(rows: Vec<Told>) -> Vec<Option<&'static str>> {
    let ends = |(host, port, peer, state): Told| {
        let state = state::TcpState::from_number(state).unwrap_or(state::TcpState::CLOSED);
        (SocketAddr::new(host, port), peer.map(SocketAddr::from), state)
    };
    let ends: Vec<ports::Ends> = rows.into_iter().map(ends).collect();
    ports::roles(&ends).into_iter().map(|role| role.map(word)).collect()
}

struct Owned {
    entry: Entry,
    owner: Option<Owner>,
}

/// The rows of one look, made one by one.
#[pyclass(frozen, sequence, module = "socklens._socklens", name = "_PortRows")]
pub(super) struct PortRows(Arc<Vec<Owned>>);

#[pymethods]
impl PortRows {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __getitem__(&self, index: usize) -> PyResult<PortRow> {
        if index >= self.0.len() {
            return Err(PyIndexError::new_err("no such row"));
        }
        Ok(PortRow { rows: self.0.clone(), index })
    }
}

/// One row, as the kernel tells it, and what was found out about it.
#[pyclass(frozen, module = "socklens._socklens", name = "_PortRow")]
pub(super) struct PortRow {
    rows: Arc<Vec<Owned>>,
    index: usize,
}

impl PortRow {
    fn owned(&self) -> &Owned {
        &self.rows[self.index]
    }

    fn entry(&self) -> &Entry {
        &self.owned().entry
    }

    fn row(&self) -> &ports::Row {
        &self.entry().row
    }

    fn listens(&self) -> bool {
        self.row().accept_queue.is_some()
    }
}

#[pymethods]
impl PortRow {
    #[getter]
    fn protocol(&self) -> &'static str {
        if self.row().v6 { "tcp6" } else { "tcp" }
    }

    #[getter]
    fn local<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python_address(py, self.row().local)
    }

    #[getter]
    fn peer<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.row().peer.map(|peer: SocketAddr| python_address(py, peer)).transpose()
    }

    #[getter]
    fn state(&self) -> State {
        State(self.row().state)
    }

    #[getter]
    fn recv_queue(&self) -> Option<u32> {
        (!self.listens()).then_some(self.row().recv_queue)
    }

    #[getter]
    fn send_queue(&self) -> Option<u32> {
        (!self.listens()).then_some(self.row().send_queue)
    }

    #[getter]
    fn pid(&self) -> Option<u32> {
        self.entry().pid
    }

    #[getter]
    fn program(&self) -> Option<&str> {
        self.entry().pid.and(self.entry().program.as_deref())
    }

    #[getter]
    fn role(&self) -> Option<&'static str> {
        self.entry().role.map(word)
    }

    #[getter]
    fn accept_queue(&self) -> Option<u32> {
        self.row().accept_queue
    }

    #[getter]
    fn accept_limit(&self) -> Option<u32> {
        self.row().accept_limit
    }

    #[getter]
    fn seconds_left(&self) -> Option<f64> {
        self.row().rests.map(|left| left.as_secs_f64())
    }

    #[getter]
    fn uid(&self) -> u32 {
        self.row().uid
    }

    #[getter]
    fn inode(&self) -> u64 {
        self.row().inode
    }

    #[getter]
    fn cookie(&self) -> u64 {
        self.row().cookie
    }

    #[getter]
    fn owner<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.owned().owner.as_ref().map(|owner| owner.told(py)).transpose()
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
