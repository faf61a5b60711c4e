//! What the awaitable twins (`python/socklens/aio`) are built on. Private to them: each of these calls makes one attempt, and none waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use pyo3::exceptions::{PyBlockingIOError, PyNotImplementedError};
use pyo3::prelude::*;

use super::arguments::{Count, TimeoutArg};
use super::bytes::reading;
use super::connection::Connection;
use super::errors::plainly;
use super::listener::Listener;
use super::opening::wanted;
use super::patience::waiting;
use super::sending::prefixed;
use super::site::Site;
use crate::core;

/// All that one event loop waits for, behind one descriptor that the loop watches.
#[pyclass(frozen, module = "socklens._socklens", name = "_Readiness")]
pub(super) struct Readiness(Arc<core::Readiness>);

#[pymethods]
impl Readiness {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(Arc::new(core::Readiness::new()?)))
    }

    /// The descriptor's number.
    fn fileno(&self) -> PyResult<i64> {
        self.0.number().ok_or_else(|| PyNotImplementedError::new_err("this system has no descriptor that stands for several sockets"))
    }

    /// What is worth another try, as (key, reading, writing, whether the other direction has to be asked for again).
    fn take(&self) -> PyResult<Vec<(u32, bool, bool, bool)>> {
        Ok(self.0.take()?.into_iter().map(|one| (one.key, one.read, one.write, one.again)).collect())
    }
}

/// A message that is sent in several steps.
#[pyclass(frozen, module = "socklens._socklens", name = "_OnItsWay")]
pub(super) struct OnItsWay {
    task: u32,
    sent: AtomicUsize,
}

#[pymethods]
impl OnItsWay {
    #[new]
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        // Zero is nobody's, even after four thousand million messages.
        Self { task: LAST.fetch_add(1, Relaxed).wrapping_add(1).max(1), sent: AtomicUsize::new(0) }
    }

    /// How many bytes the kernel has taken.
    #[getter]
    fn sent(&self) -> usize {
        self.sent.load(Relaxed)
    }
}

impl OnItsWay {
    fn step(&self, work: impl FnOnce(&mut core::connection::OnItsWay) -> PyResult<bool>) -> PyResult<()> {
        let mut way = core::connection::OnItsWay { task: self.task, sent: self.sent.load(Relaxed) };
        let result = work(&mut way);
        self.sent.store(way.sent, Relaxed);
        if result? { Ok(()) } else { Err(PyBlockingIOError::new_err(())) }
    }
}

#[pymethods]
impl Connection {
    /// Asks for one event; gives the key in `readiness.take()`, or None where there is nothing to wait for.
    fn _ask(&self, py: Python<'_>, readiness: &Readiness, write: bool, way: Option<&OnItsWay>) -> PyResult<Option<u32>> {
        let key =
            if write { self.core.ask_to_write(&readiness.0, way.map_or(0, |way| way.task)) } else { self.core.ask_to_read(&readiness.0) };
        key.map_err(plainly(py))
    }

    /// Whether a reply so often comes within microseconds that it is worth trying again a few times before a wait.
    fn _spins(&self) -> bool {
        self.core.spins()
    }

    /// Whether it was.
    fn _spun(&self, hit: bool) {
        self.core.spun(hit);
    }

    /// A step of `sendall`. BlockingIOError: it was not the last.
    fn _sendall_on(&self, py: Python<'_>, way: &OnItsWay, data: &Bound<'_, PyAny>, timeout: TimeoutArg) -> PyResult<()> {
        let timeout = timeout.or(|| self.core.timeout());
        way.step(|way| reading("sendall", data, |bytes| waiting(py, timeout, |wait| self.core.sendall_on(bytes, way, wait))))
    }

    /// A step of `send_frame`, as `_sendall_on`.
    fn _send_frame_on(
        &self,
        py: Python<'_>,
        way: &OnItsWay,
        data: &Bound<'_, PyAny>,
        prefix: Count,
        byteorder: &str,
        timeout: TimeoutArg,
    ) -> PyResult<()> {
        let framing = prefixed("send_frame", prefix, byteorder, usize::MAX)?;
        let timeout = timeout.or(|| self.core.timeout());
        way.step(|way| {
            reading("send_frame", data, |bytes| waiting(py, timeout, |wait| self.core.send_frame_on(bytes, &framing, way, wait)))
        })
    }

    /// The message does not go on: others may send.
    fn _give_up(&self, way: &OnItsWay) {
        self.core.give_up(way.task);
    }
}

/// A line of Python code, for what is made there later.
#[pyclass(frozen, module = "socklens._socklens", name = "_Here")]
pub(super) struct Here(Site);

#[pymethods]
impl Here {
    /// The line that is being run, `outer` frames further out.
    #[new]
    fn new(py: Python<'_>, outer: usize) -> Self {
        Self(Site::here(py, outer))
    }
}

#[pymethods]
impl Listener {
    /// Asks for one event; as that of Connection.
    fn _ask(&self, py: Python<'_>, readiness: &Readiness, write: bool, way: Option<&OnItsWay>) -> PyResult<Option<u32>> {
        let _always_to_read = (write, way);
        self.core.ask(&readiness.0).map_err(plainly(py))
    }

    /// `accept`, on behalf of another line.
    fn _accept<'py>(&self, py: Python<'py>, here: &Here, timeout: TimeoutArg) -> PyResult<Bound<'py, Connection>> {
        let connection = waiting(py, timeout.or(|| self.core.timeout()), |wait| self.core.accept(wait))?;
        self.take_in(py, connection, here.0.again(py))
    }
}

/// A connection that is being made in several steps.
#[pyclass(frozen, module = "socklens._socklens", name = "_Connecting")]
pub(super) struct Connecting {
    pub(super) core: core::Connecting,
    site: Site,
}

#[pymethods]
impl Connecting {
    #[new]
    #[allow(clippy::too_many_arguments, reason = "keywords of a Python function")]
    fn new(
        py: Python<'_>,
        here: &Here,
        host: &Bound<'_, PyAny>,
        port: Option<&Bound<'_, PyAny>>,
        source: Option<&Bound<'_, PyAny>>,
        recv_buffer: Option<Count>,
        send_buffer: Option<Count>,
        wait: bool,
    ) -> PyResult<Self> {
        let (host, port, opening) = wanted(host, port, source, recv_buffer, send_buffer, wait)?;
        let core = core::Connecting::start(&host, port, opening).map_err(plainly(py))?;
        Ok(Self { core, site: here.0.again(py) })
    }

    /// Asks for one event; as that of Connection.
    fn _ask(&self, py: Python<'_>, readiness: &Readiness, write: bool, way: Option<&OnItsWay>) -> PyResult<Option<u32>> {
        let _always_to_write = (write, way);
        self.core.ask(&readiness.0).map_err(plainly(py))
    }

    /// Goes on; gives the connection when it is made.
    fn step(&self, py: Python<'_>, timeout: TimeoutArg) -> PyResult<Connection> {
        let connection = waiting(py, timeout.or(|| core::Timeout::Forever), |wait| self.core.step(wait))?;
        Ok(Connection::new(connection, self.site.again(py)))
    }

    /// Closes what has been begun.
    fn give_up(&self) {
        self.core.give_up();
    }
}
