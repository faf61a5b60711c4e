//! The class Listener. It knows the Python objects of its live connections by weak references only: it does not keep them open.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType, PyWeakrefMethods, PyWeakrefReference};

use super::arguments::{Count, TimeoutArg, named_tuple, python_address, timeout};
use super::connection::Connection;
use super::errors::{ClosedError, made, plainly};
use super::handover;
use super::info::State;
use super::options::{NUMBER, Number, option_size, option_value, switch, with_option};
use super::patience::{releasing, unhurried, waiting};
use super::site::{Closing, Site, warn_unclosed};
use crate::core;

/// A listening socket: it waits for clients on one address and port, and gives a new Connection for each (accept(2)). It is not a connection
/// itself and carries no bytes.
///
/// Made by `socklens.listen()`. `for conn in listener:` accepts one client after the other until the listener is closed. Use it in a `with`
/// statement, or close it.
#[pyclass(frozen, weakref, module = "socklens")]
pub(super) struct Listener {
    /// Shared with the server that accepts from it, if one does.
    pub(super) core: Arc<core::Listener>,
    pub(super) site: Site,
    closing: Closing,
    accepted: Mutex<Roll>,
}

/// Weak references to accepted connections, swept when as many have come as were alive at the last sweep.
#[derive(Default)]
struct Roll {
    known: Vec<Py<PyWeakrefReference>>,
    sweep_at: usize,
}

impl Listener {
    pub(super) fn new(core: core::Listener, site: Site) -> Self {
        Self { core: Arc::new(core), site, closing: Closing::default(), accepted: Mutex::default() }
    }

    /// The object of a new client, with the line that accepted it.
    pub(super) fn take_in<'py>(&self, py: Python<'py>, connection: core::Connection, site: Site) -> PyResult<Bound<'py, Connection>> {
        // A server accepts in a thread of its own: then the line that opened the listener is the program's.
        let site = if site.is_known() { site } else { self.site.again(py) };
        let object = Bound::new(py, Connection::new(connection, site))?;
        let reference = PyWeakrefReference::new(object.as_any())?.unbind();
        let mut roll = self.accepted.lock();
        roll.known.push(reference);
        let full = roll.known.len() > roll.sweep_at;
        drop(roll);
        if full {
            self.living(py);
        }
        Ok(object)
    }

    /// The live ones; forgets the others.
    fn living<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        let open = |reference: &Py<PyWeakrefReference>| {
            let object = reference.bind(py).upgrade()?;
            let is_open = object.cast::<Connection>().is_ok_and(|connection| !connection.get().core.is_closed());
            is_open.then_some(object)
        };
        // A copy, since to let go of an object may run Python code, and no lock is held while that runs.
        let known: Vec<_> = self.accepted.lock().known.iter().map(|reference| reference.clone_ref(py)).collect();
        let (living, over): (Vec<_>, Vec<_>) =
            known.into_iter().map(|reference| open(&reference).ok_or(reference)).partition(Result::is_ok);
        let living: Vec<_> = living.into_iter().flatten().collect();
        let over: Vec<_> = over.into_iter().filter_map(Result::err).collect();
        let mut roll = self.accepted.lock();
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut roll.known).into_iter().partition(|reference| over.iter().any(|other| other.is(reference)));
        roll.sweep_at = 2 * kept.len() + 16;
        roll.known = kept;
        drop(roll);
        drop(gone);
        living
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.core.is_closed() {
            warn_unclosed(&self.core.to_string(), &self.site);
        }
    }
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (*_args, **_keywords))]
    fn new_by_name(_args: &Bound<'_, PyTuple>, _keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("a Listener is made by socklens.listen(host, port)"))
    }

    /// Takes over a listening `socket.socket`, which is detached: from now on it is used and closed here.
    ///
    /// Raises:
    ///     ValueError: it does not listen, or it is closed; it stays as it was. TypeError: it is no socket.
    #[classmethod]
    fn from_socket(_class: &Bound<'_, PyType>, py: Python<'_>, sock: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (socket, timeout) = handover::take(sock, |socket| core::Listener::address_of(socket).map(drop))?;
        let core = core::Listener::from_socket(socket, timeout).map_err(plainly(py))?;
        Ok(Self::new(core, Site::here(py, 0)))
    }

    /// The endpoint that it listens on (getsockname(2)), with the real port where 0 was asked for.
    #[getter]
    fn local_addr<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python_address(py, self.core.local_addr())
    }

    /// Where in the program it was made: file and line, or notebook cell.
    #[getter]
    fn created_at(&self, py: Python<'_>) -> PyResult<String> {
        self.site.describe(py)
    }

    /// Where in the program it was closed: file and line, or notebook cell. None while it is open, and where no line of Python closed it.
    /// After `detach` and `to_socket`, where the socket was given away.
    #[getter]
    fn closed_at(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.closing.describe(py)
    }

    /// Whether this program has closed it.
    #[getter]
    fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// TcpState.LISTEN, as the kernel has it. After `close()`: LISTEN if somebody else listens on this very address now, else CLOSED.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<State> {
        let state = unhurried(py, || self.core.state())?;
        state.map(State).ok_or_else(|| plainly(py)(core::Error::Unsupported("state: this system does not tell the state".into())))
    }

    /// The accept queue as (waiting, limit): clients whose handshake is over and whom nobody has accepted, and the kernel's limit (from TCP_INFO).
    ///
    /// To them, connect() has succeeded: connected is not yet accepted. Linux lets one more wait than the limit says, so a queue is full when `waiting`
    /// is greater than `limit`.
    ///
    /// Raises:
    ///     NotImplementedError: this system does not tell. ClosedError.
    #[getter]
    fn backlog<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static BACKLOG: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let counts = self.core.backlog().map_err(plainly(py))?;
        named_tuple(BACKLOG.import(py, "socklens._address", "Backlog")?, &counts.into_pyobject(py)?)
    }

    /// How many clients it has accepted so far.
    #[getter]
    fn accepted(&self) -> u64 {
        self.core.accepted()
    }

    /// The connections that it has accepted and that are still open here, oldest first: a new list.
    #[getter]
    fn connections<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.living(py))
    }

    /// Returns a new Connection for the next client; waits until there is one.
    ///
    /// Args:
    ///     timeout: seconds; None waits for ever; 0 never waits; left out, `listener.timeout`.
    ///
    /// Raises:
    ///     TimeoutError: no client came. BlockingIOError: none is here, and the timeout is 0.
    ///     ClosedError: this listener was closed by this program, perhaps by another thread meanwhile.
    ///     OSError (EMFILE, ENFILE): this program or machine has too many files and sockets open; the client still waits.
    #[pyo3(signature = (*, timeout=TimeoutArg::OWN), text_signature = "($self, *, timeout=...)")]
    fn accept<'py>(&self, py: Python<'py>, timeout: TimeoutArg) -> PyResult<Bound<'py, Connection>> {
        let connection = waiting(py, timeout.or(|| self.core.timeout()), |wait| self.core.accept(wait))?;
        self.take_in(py, connection, Site::here(py, 0))
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Connection>> {
        self.accept(py, TimeoutArg::OWN).map_err(|error| {
            let error = made(py, error);
            // Closing the listener is how such a loop ends. What a signal handler raised is another matter.
            if error.is_instance_of::<ClosedError>(py) { PyStopIteration::new_err(()) } else { error }
        })
    }

    /// Stops listening. Calls of other threads that wait in `accept` end with ClosedError, and when it returns the port can be bound again.
    ///
    /// Clients that were not accepted are reset by the kernel; accepted connections live on. Closing twice does nothing.
    fn close(&self, py: Python<'_>) {
        self.closing.here(py, self.core.is_closed());
        releasing(py, |patience| self.core.close(patience));
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<&Bound<'_, PyAny>>,
        error: Option<&Bound<'_, PyAny>>,
        trace: Option<&Bound<'_, PyAny>>,
    ) {
        let _the_same_in_every_case = (kind, error, trace);
        self.close(py);
    }

    /// How long `accept` waits unless it says otherwise, and the timeout of connections accepted from now on: seconds, 0 for not at all, None for
    /// ever.
    #[getter]
    fn get_timeout(&self) -> Option<f64> {
        self.core.timeout().as_secs()
    }

    #[setter]
    fn set_timeout(&self, seconds: &Bound<'_, PyAny>) -> PyResult<()> {
        self.core.set_timeout(timeout(seconds)?);
        Ok(())
    }

    /// Whether the port could be bound although old connections of it rest in TIME_WAIT (SO_REUSEADDR, socket(7)).
    #[getter]
    fn get_reuse_addr(&self, py: Python<'_>) -> PyResult<bool> {
        self.core.with_socket("reuse_addr", |socket| socket.reuse_address()).map_err(plainly(py))
    }

    #[setter]
    fn set_reuse_addr(&self, py: Python<'_>, on: &Bound<'_, PyAny>) -> PyResult<()> {
        let on = switch("reuse_addr", on)?;
        self.core.with_socket("reuse_addr", |socket| socket.set_reuse_address(on)).map_err(plainly(py))
    }

    /// Whether it serves IPv4 clients on an IPv6 socket too (ipv6(7), IPV6_V6ONLY off).
    #[getter]
    fn dual_stack(&self, py: Python<'_>) -> PyResult<bool> {
        let v6 = self.core.local_addr().is_ipv6();
        self.core.with_socket("dual_stack", |socket| Ok(v6 && !socket.only_v6()?)).map_err(plainly(py))
    }

    /// Any option by its number (getsockopt(2)): an int, or `buflen` bytes. The names are in Python's `socket` module.
    #[pyo3(signature = (level, option, buflen=Count(0)), text_signature = "($self, level, option, buflen=0)")]
    fn getsockopt<'py>(&self, py: Python<'py>, level: Number, option: Number, buflen: Count) -> PyResult<Bound<'py, PyAny>> {
        let size = option_size(buflen)?;
        let bytes = self.core.getsockopt(level.0, option.0, if size == 0 { NUMBER } else { size }).map_err(plainly(py))?;
        option_value(py, &bytes, size)
    }

    /// Sets any option by its number (setsockopt(2)): an int, or bytes.
    fn setsockopt(&self, py: Python<'_>, level: Number, option: Number, value: &Bound<'_, PyAny>) -> PyResult<()> {
        with_option(value, |bytes| self.core.setsockopt(level.0, option.0, bytes).map_err(plainly(py)))
    }

    /// The descriptor's number, for select and selectors; -1 once closed.
    fn fileno(&self) -> i64 {
        self.core.with_socket("fileno", |socket| Ok(handover::number(socket))).map_or(-1, |number| number as i64)
    }

    /// Gives the open descriptor away and returns its number; the caller owns it, and this object counts as closed.
    fn detach(&self, py: Python<'_>) -> PyResult<i64> {
        let socket = releasing(py, |patience| self.core.detach("detach", patience)).map_err(plainly(py))?;
        self.closing.here(py, false);
        Ok(handover::give(socket) as i64)
    }

    /// Gives the socket to Python: returns a `socket.socket`, and this object counts as closed.
    fn to_socket<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let socket = releasing(py, |patience| self.core.detach("to_socket", patience)).map_err(plainly(py))?;
        self.closing.here(py, false);
        handover::as_python(py, socket, self.core.timeout())
    }

    fn __repr__(&self) -> String {
        if self.core.is_closed() {
            return format!("<{} closed>", self.core);
        }
        match self.core.backlog() {
            Ok((waiting, limit)) if waiting > limit => {
                format!("<{} LISTEN, {waiting} waiting, full (limit {limit} lets {waiting} wait)>", self.core)
            }
            Ok((waiting, limit)) => format!("<{} LISTEN, {waiting} waiting, limit {limit}>", self.core),
            Err(_) => format!("<{} LISTEN>", self.core),
        }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Listener cannot be pickled or copied: it stands for a socket of this process"))
    }
}
