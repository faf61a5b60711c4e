//! The functions that make listeners and connections, the default timeout, and the question who holds a port.

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::arguments::{Count, TimeoutArg, buffer_size, endpoint, python_address, timeout};
use super::connection::Connection;
use super::info::State;
use super::listener::Listener;
use super::patience::{releasing, waiting};
use super::site::Site;
use crate::core::connection::Asked;
use crate::core::{self, Listening, Opening, Timeout, ports};

static DEFAULT_TIMEOUT: Mutex<Timeout> = Mutex::new(Timeout::Forever);

pub(super) fn default_timeout() -> Timeout {
    *DEFAULT_TIMEOUT.lock()
}

/// Sets the timeout that connections and listeners made from now on start with: seconds, 0 for not at all, None for ever (the default).
#[pyfunction]
pub(super) fn set_default_timeout(seconds: &Bound<'_, PyAny>) -> PyResult<()> {
    *DEFAULT_TIMEOUT.lock() = timeout(seconds)?;
    Ok(())
}

/// The timeout that connections and listeners made from now on start with, in seconds; None is for ever.
#[pyfunction]
pub(super) fn get_default_timeout() -> Option<f64> {
    default_timeout().as_secs()
}

fn asked(recv_buffer: Option<Count>, send_buffer: Option<Count>) -> PyResult<Asked> {
    Ok(Asked { recv_buffer: buffer_size(recv_buffer, "recv_buffer")?, send_buffer: buffer_size(send_buffer, "send_buffer")? })
}

/// Connects to a listener and returns the Connection (connect(2)).
///
/// A host name may stand for several addresses: they are tried in turn, and an error tells what became of each.
///
/// Args:
///     host: "127.0.0.1", "localhost", "::1" …, or the whole endpoint: "host:port", (host, port), `listener.local_addr`.
///     port: 1 to 65535.
///     timeout: seconds for the whole attempt, not for the calls after it (`conn.timeout`); None waits for ever; 0 never waits; left out,
///         the default timeout.
///     source: the endpoint to connect from; port 0, or none, lets the kernel choose one.
///     recv_buffer, send_buffer: sizes to ask of the kernel in bytes, before it connects (SO_RCVBUF, SO_SNDBUF).
///     wait: False returns at once, perhaps in state SYN_SENT; `wait_connected()` or the first recv or send waits then.
///
/// Raises:
///     ConnectionRefusedError: nothing listens there. TimeoutError: no answer. socket.gaierror: the name has no address.
///     OSError: unreachable, the source is not this machine's or is taken. OverflowError, ValueError, TypeError: no such endpoint.
#[pyfunction]
#[pyo3(
    signature = (host, port=None, *, timeout=TimeoutArg::OWN, source=None, recv_buffer=None, send_buffer=None, wait=true),
    text_signature = "(host, port=None, *, timeout=..., source=None, recv_buffer=None, send_buffer=None, wait=True)"
)]
#[allow(clippy::too_many_arguments, reason = "keywords of a Python function")]
pub(super) fn connect(
    py: Python<'_>,
    host: &Bound<'_, PyAny>,
    port: Option<&Bound<'_, PyAny>>,
    timeout: TimeoutArg,
    source: Option<&Bound<'_, PyAny>>,
    recv_buffer: Option<Count>,
    send_buffer: Option<Count>,
    wait: bool,
) -> PyResult<Connection> {
    let (host, port, opening) = wanted(host, port, source, recv_buffer, send_buffer, wait)?;
    let connection = waiting(py, timeout.or(default_timeout), |wait| core::connect(&host, port, &opening, wait))?;
    Ok(Connection::new(connection, Site::here(py, 0)))
}

/// The arguments of `connect`, checked: host, port, and what is asked for.
pub(super) fn wanted(
    host: &Bound<'_, PyAny>,
    port: Option<&Bound<'_, PyAny>>,
    source: Option<&Bound<'_, PyAny>>,
    recv_buffer: Option<Count>,
    send_buffer: Option<Count>,
    wait: bool,
) -> PyResult<(String, u16, Opening)> {
    let (host, port) = endpoint(host, port)?;
    let Some(port) = port else {
        return Err(PyValueError::new_err(format!("connect needs a port beside the host {host:?}: connect({host:?}, 6666)")));
    };
    let source = source.map(|source| endpoint(source, None)).transpose()?.map(|(host, port)| (host, port.unwrap_or(0)));
    let opening = Opening { source, asked: asked(recv_buffer, send_buffer)?, timeout: default_timeout(), wait };
    Ok((host, port, opening))
}

/// Returns two connected ends on loopback, (client, server): for experiments and tests.
///
/// Args:
///     recv_buffer, send_buffer: sizes to ask of the kernel for both, in bytes, before they connect.
#[pyfunction]
#[pyo3(signature = (*, recv_buffer=None, send_buffer=None))]
pub(super) fn pair(py: Python<'_>, recv_buffer: Option<Count>, send_buffer: Option<Count>) -> PyResult<(Connection, Connection)> {
    let opening = Opening { asked: asked(recv_buffer, send_buffer)?, timeout: default_timeout(), ..Opening::default() };
    let (client, server) = waiting(py, Timeout::Forever, |wait| core::pair(&opening, wait))?;
    Ok((Connection::new(client, Site::here(py, 0)), Connection::new(server, Site::here(py, 0))))
}

/// An endpoint's parts, (host, port or None), as all functions here understand it.
#[pyfunction]
#[pyo3(name = "_endpoint")]
pub(super) fn parts(host: &Bound<'_, PyAny>, port: Option<&Bound<'_, PyAny>>) -> PyResult<(String, Option<u16>)> {
    endpoint(host, port)
}

/// Binds and listens; `socklens.listen` is the friendly form. `outer` counts the frames between the user's line and this call.
#[pyfunction]
#[pyo3(name = "_listen")]
#[allow(clippy::too_many_arguments, reason = "keywords of a Python function")]
pub(super) fn bind_listener(
    py: Python<'_>,
    host: &Bound<'_, PyAny>,
    port: Option<&Bound<'_, PyAny>>,
    backlog: Count,
    dual_stack: bool,
    reuse_addr: bool,
    recv_buffer: Option<Count>,
    send_buffer: Option<Count>,
    outer: usize,
) -> PyResult<Listener> {
    let (host, port) = endpoint(host, port)?;
    let backlog = i32::try_from(backlog.0)
        .ok()
        .filter(|&backlog| backlog >= 0)
        .ok_or_else(|| PyValueError::new_err(format!("backlog is a number of connections from 0 to {}, not {}", i32::MAX, backlog.0)))?;
    let listening = Listening { backlog, dual_stack, reuse_addr, asked: asked(recv_buffer, send_buffer)?, timeout: default_timeout() };
    let listener = waiting(py, default_timeout(), |wait| core::Listener::bind(&host, port.unwrap_or(0), &listening, wait))?;
    Ok(Listener::new(listener, Site::here(py, outer)))
}

/// A holder as (local, peer, state, pid, program).
type HolderRow<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, State, Option<u32>, Option<String>);

/// Who holds an address: rows of (local, peer, state, pid, program), or None where the kernel's table cannot be read.
#[pyfunction]
#[pyo3(name = "_holders")]
pub(super) fn holders<'py>(py: Python<'py>, host: &Bound<'_, PyAny>, port: &Bound<'_, PyAny>) -> PyResult<Option<Vec<HolderRow<'py>>>> {
    let (host, port) = endpoint(host, Some(port))?;
    let wanted = waiting(py, Timeout::Forever, |wait| core::resolve::resolve(&host, port.unwrap_or(0), wait))?;
    let mut found = None;
    releasing(py, |patience| patience.released(&mut || found = wanted.first().and_then(|&addr| ports::holders(addr))));
    let row = |holder: ports::Holder| {
        let peer = holder.peer.map(|peer| python_address(py, peer)).transpose()?;
        Ok((python_address(py, holder.local)?, peer, State(holder.state), holder.pid, holder.program))
    };
    found.map(|found| found.into_iter().map(row).collect::<PyResult<Vec<_>>>()).transpose()
}
