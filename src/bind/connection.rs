//! The class Connection: who it connects, what the kernel sees, its options, its life. Its send and recv families have rooms of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType, PyWeakrefMethods, PyWeakrefReference};

use super::arguments::{Count, TimeoutArg, python_address, timeout};
use super::errors::plainly;
use super::handover;
use super::info::{State, TcpInfo};
use super::options::{NUMBER, Number, linger_time, option_size, option_value, switch, with_option};
use super::patience::{releasing, unhurried, waiting};
use super::site::{Closing, Site, warn_unclosed};
use super::view::{InputBuffer, OutputBuffer, Totals};
use crate::core;

/// One end of a TCP connection: a real socket of this machine's kernel.
///
/// Made by `socklens.connect()`, by `listener.accept()`, or from a socket of Python's with `Connection.from_socket()`. A connection is the pair of
/// two endpoints, `local_addr` and `peer_addr`; its other end is another socket, here or elsewhere.
///
/// Everything may be used from several threads at once; one reader and one writer never wait for each other. Use it in a `with` statement, or
/// close it.
#[pyclass(frozen, weakref, module = "socklens")]
pub(super) struct Connection {
    /// Shared with the server that drives it, if one does.
    pub(super) core: Arc<core::Connection>,
    pub(super) site: Site,
    closing: Closing,
}

impl Connection {
    pub(super) fn new(core: core::Connection, site: Site) -> Self {
        Self { core: Arc::new(core), site, closing: Closing::default() }
    }

    /// The object of a connection that a server drives: the same one as long as somebody has it.
    pub(super) fn shared(py: Python<'_>, core: Arc<core::Connection>) -> PyResult<Bound<'_, Self>> {
        let key = Arc::as_ptr(&core) as usize;
        let known = SHARED.lock().get(&key).map(|reference| reference.clone_ref(py));
        if let Some(object) = known.and_then(|reference| reference.bind(py).upgrade()) {
            return Ok(object.cast_into::<Self>()?);
        }
        let object = Bound::new(py, Self { core, site: Site::here(py, 0), closing: Closing::default() })?;
        let reference = PyWeakrefReference::new(object.as_any())?.unbind();
        let before = SHARED.lock().insert(key, reference);
        drop(before);
        Ok(object)
    }
}

/// The objects of connections that servers drive, by their addresses in memory. The lock is only ever held with the interpreter held, and not
/// while Python code runs.
static SHARED: Mutex<BTreeMap<usize, Py<PyWeakrefReference>>> = Mutex::new(BTreeMap::new());

impl Drop for Connection {
    fn drop(&mut self) {
        if self.core.has_driver() {
            let gone = SHARED.lock().remove(&(Arc::as_ptr(&self.core) as usize));
            drop(gone);
        }
        // A server closes its own clients.
        if !self.core.is_closed() && !self.core.has_driver() {
            warn_unclosed(&self.core.to_string(), &self.site);
            // With a linger time the kernel's close sleeps; the core's own drop, which comes next, would do so with the interpreter held.
            let _or_by_its_own_drop = Python::try_attach(|py| releasing(py, |patience| self.core.close(patience)));
        }
    }
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (*_args, **_keywords))]
    fn new_by_name(_args: &Bound<'_, PyTuple>, _keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("a Connection is made by socklens.connect(host, port), or by a listener's accept()"))
    }

    /// Takes over a connected `socket.socket`, which is detached: from now on the connection is used and closed here.
    ///
    /// Raises:
    ///     ValueError: it is not a connected TCP socket, or it is closed; it stays as it was. TypeError: it is no socket.
    #[classmethod]
    fn from_socket(_class: &Bound<'_, PyType>, py: Python<'_>, sock: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (socket, timeout) = handover::take(sock, |socket| core::Connection::ends_of(socket).map(drop))?;
        let core = core::Connection::from_socket(socket, timeout).map_err(plainly(py))?;
        Ok(Self::new(core, Site::here(py, 0)))
    }

    /// This end's endpoint (getsockname(2)). On a server's connections its port is the listener's.
    #[getter]
    fn local_addr<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python_address(py, self.core.local_addr())
    }

    /// The other end's endpoint (getpeername(2)).
    #[getter]
    fn peer_addr<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python_address(py, self.core.peer_addr())
    }

    /// Where in the program it was made: file and line, or notebook cell. For a client of a server that runs in Rust, where it was first asked for.
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

    /// Whether this program has closed it. (What the peer did shows in `state`.)
    #[getter]
    fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// The state that the kernel has the connection in (TcpState, from TCP_INFO).
    ///
    /// A connection that this program has closed, or that rests in TIME_WAIT, has no TCP_INFO any more: for those it is what the kernel's table
    /// (/proc/net/tcp) holds for these two endpoints, and CLOSED if that is nothing.
    ///
    /// Raises:
    ///     NotImplementedError: this system does not tell.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<State> {
        let state = unhurried(py, || self.core.state())?;
        state.map(State).ok_or_else(|| plainly(py)(core::Error::Unsupported("state: this system does not tell the state".into())))
    }

    /// All that the kernel tells of the connection (TCP_INFO, tcp(7)): a frozen TcpInfo.
    fn info(&self, py: Python<'_>) -> PyResult<TcpInfo> {
        self.core.info().map(TcpInfo::from).map_err(plainly(py))
    }

    /// Bytes over the connection's life: a frozen Totals. Works on a closed connection too.
    #[getter]
    fn totals(&self) -> Totals {
        Totals(self.core.totals())
    }

    /// The borders between the last sends, for pictures: (bytes sent, number of sends, where the last of them ended in the stream, oldest first).
    /// None where a server in Rust sends.
    #[getter]
    fn _sends(&self) -> Option<(u64, usize, Vec<u64>)> {
        let sends = self.core.sends();
        (!self.core.has_driver()).then_some((sends.sent, sends.count, sends.ends))
    }

    /// The bytes that have come and were not taken yet: a frozen InputBuffer.
    #[getter]
    fn input_buffer(&self, py: Python<'_>) -> PyResult<InputBuffer> {
        self.core.input().map(InputBuffer).map_err(plainly(py))
    }

    /// The bytes that were sent and not acknowledged yet: a frozen OutputBuffer.
    #[getter]
    fn output_buffer(&self, py: Python<'_>) -> PyResult<OutputBuffer> {
        self.core.output().map(OutputBuffer).map_err(plainly(py))
    }

    /// Waits until the handshake is over; only a connection made with `connect(..., wait=False)` has to.
    ///
    /// Raises:
    ///     ConnectionRefusedError and its kin: the attempt failed. TimeoutError: no answer yet; the attempt goes on.
    #[pyo3(signature = (*, timeout=TimeoutArg::OWN), text_signature = "($self, *, timeout=...)")]
    fn wait_connected(&self, py: Python<'_>, timeout: TimeoutArg) -> PyResult<()> {
        waiting(py, timeout.or(|| self.core.timeout()), |wait| self.core.wait_connected(wait))
    }

    /// Closes this end. Calls of other threads that wait on it end with ClosedError, and when it returns they have left.
    ///
    /// The kernel goes on to deliver what was sent, then sends FIN. If bytes were left unread it sends RST instead (RFC 1122 section 4.2.2.13).
    /// Closing twice does nothing.
    fn close(&self, py: Python<'_>) {
        self.closing.here(py, self.core.is_closed());
        releasing(py, |patience| self.core.close(patience));
    }

    /// Closes this end with RST: what was not delivered is dropped, and the peer's next call raises ConnectionResetError.
    ///
    /// On Linux RST leaves now, although a forked child may have the socket too, for which the connection is over then; elsewhere it leaves when the
    /// last of them has closed. In the child itself this is an ordinary close.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let before = self.core.is_closed();
        releasing(py, |patience| self.core.abort(patience)).map_err(plainly(py))?;
        self.closing.here(py, before);
        Ok(())
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

    /// How long a call waits unless it says otherwise: seconds, 0 for not at all, None for ever.
    #[getter]
    fn get_timeout(&self) -> Option<f64> {
        self.core.timeout().as_secs()
    }

    #[setter]
    fn set_timeout(&self, seconds: &Bound<'_, PyAny>) -> PyResult<()> {
        self.core.set_timeout(timeout(seconds)?);
        Ok(())
    }

    /// Whether small pieces are sent at once (TCP_NODELAY) instead of being gathered while an ACK is awaited (Nagle's algorithm, RFC 896).
    #[getter]
    fn get_nodelay(&self, py: Python<'_>) -> PyResult<bool> {
        self.core.nodelay().map_err(plainly(py))
    }

    #[setter]
    fn set_nodelay(&self, py: Python<'_>, on: &Bound<'_, PyAny>) -> PyResult<()> {
        self.core.set_nodelay(switch("nodelay", on)?).map_err(plainly(py))
    }

    /// Whether the kernel asks a silent peer now and then whether it is still there (SO_KEEPALIVE, RFC 1122 section 4.2.3.6).
    #[getter]
    fn get_keepalive(&self, py: Python<'_>) -> PyResult<bool> {
        self.core.keepalive().map_err(plainly(py))
    }

    #[setter]
    fn set_keepalive(&self, py: Python<'_>, on: &Bound<'_, PyAny>) -> PyResult<()> {
        self.core.set_keepalive(switch("keepalive", on)?).map_err(plainly(py))
    }

    /// How many seconds `close()` waits for undelivered bytes (SO_LINGER); None, the default, leaves them to the kernel; 0 makes close an abort.
    /// The kernel counts whole seconds.
    #[getter]
    fn get_linger(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        Ok(self.core.linger().map_err(plainly(py))?.map(|time| time.as_secs_f64()))
    }

    #[setter]
    fn set_linger(&self, py: Python<'_>, seconds: &Bound<'_, PyAny>) -> PyResult<()> {
        let time = if seconds.is_none() { None } else { Some(linger_time(seconds)?) };
        self.core.set_linger(time).map_err(plainly(py))
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

    /// The descriptor's number, for select and selectors; -1 once closed. It is readable for what the kernel holds: bytes in Rust memory do not
    /// show there (see `input_buffer.rust`).
    fn fileno(&self) -> i64 {
        self.core.with_socket("fileno", |socket| Ok(handover::number(socket))).map_or(-1, |number| number as i64)
    }

    /// Gives the open descriptor away and returns its number; the caller owns it, and this object counts as closed.
    ///
    /// Raises:
    ///     BufferError: bytes are in Rust memory that the new owner could not see; recv() them first. ClosedError.
    fn detach(&self, py: Python<'_>) -> PyResult<i64> {
        let socket = releasing(py, |patience| self.core.detach("detach", patience)).map_err(plainly(py))?;
        self.closing.here(py, false);
        Ok(handover::give(socket) as i64)
    }

    /// Gives the socket to Python: returns a `socket.socket`, and this object counts as closed. Exceptions are those of `detach`.
    fn to_socket<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let socket = releasing(py, |patience| self.core.detach("to_socket", patience)).map_err(plainly(py))?;
        self.closing.here(py, false);
        handover::as_python(py, socket, self.core.timeout())
    }

    fn __repr__(&self) -> String {
        if self.core.is_closed() {
            return format!("<{} closed>", self.core);
        }
        let state = self.core.state().ok().flatten().map_or("state unknown".into(), |state| format!("{state:?}"));
        let told = |count: Option<usize>| count.map_or("?".into(), |count| format!("{count} B"));
        let input = told(self.core.input_length().ok());
        let output = told(self.core.output().ok().and_then(|view| view.outstanding));
        format!("<{} {state}, in {input}, out {output}>", self.core)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Connection cannot be pickled or copied: it stands for a socket of this process"))
    }
}
