//! Sockets that change hands between Python's `socket.socket` and the core.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use socket2::Socket;

use super::errors::plainly;
use crate::core::{Result, Timeout};

#[cfg(unix)]
use std::os::fd::{FromRawFd, IntoRawFd, RawFd as Raw};
#[cfg(windows)]
use std::os::windows::io::{FromRawSocket, IntoRawSocket, RawSocket as Raw};

/// Takes the socket out of a `socket.socket` after `check` has looked at it; a socket that does not pass stays with its owner. With it comes
/// the owner's timeout.
pub(super) fn take(sock: &Bound<'_, PyAny>, check: impl FnOnce(&Socket) -> Result<()>) -> PyResult<(Socket, Timeout)> {
    let py = sock.py();
    let kind = sock.get_type().name()?.to_string();
    let number = || -> PyResult<i64> { sock.call_method0("fileno")?.extract() };
    // Ours have a detach too, and no gettimeout.
    let (Ok(number), true) = (number(), sock.hasattr("detach")? && sock.hasattr("gettimeout")?) else {
        return Err(PyTypeError::new_err(format!("from_socket takes a socket.socket, not {kind}")));
    };
    if sock.hasattr("getpeercert")? {
        return Err(PyTypeError::new_err(format!(
            "from_socket takes a plain TCP socket, not {kind}: around TLS, what is sent here would go out unencrypted"
        )));
    }
    let Ok(raw) = Raw::try_from(number).map_err(drop).and_then(|raw| if number < 0 { Err(()) } else { Ok(raw) }) else {
        return Err(PyValueError::new_err("from_socket: this socket is closed"));
    };
    // SAFETY: only borrowed: `ManuallyDrop` leaves the descriptor open for its owner.
    let borrowed = ManuallyDrop::new(unsafe { from_raw(raw) });
    check(&borrowed).map_err(plainly(py))?;
    let timeout = match sock.call_method0("gettimeout")?.extract::<Option<f64>>()? {
        Some(seconds) => Timeout::from_secs(seconds).map_err(plainly(py))?,
        None => Timeout::Forever,
    };
    let raw = Raw::try_from(sock.call_method0("detach")?.extract::<i64>()?)
        .map_err(|_| PyValueError::new_err("from_socket: this socket is closed"))?;
    // SAFETY: detach() made this the only owner of the descriptor.
    Ok((unsafe { from_raw(raw) }, timeout))
}

/// A look at the socket of a descriptor that stays with its owner.
pub(super) fn borrowed<T>(number: i64, look: impl FnOnce(&Socket) -> Result<T>) -> PyResult<Result<T>> {
    let Some(raw) = Raw::try_from(number).ok().filter(|_| number >= 0) else {
        return Err(PyValueError::new_err(if number == -1 {
            "look: this socket is closed".to_owned()
        } else {
            format!("look: {number} is no descriptor's number; they are small and not negative, as fileno() gives them")
        }));
    };
    // SAFETY: only borrowed: `ManuallyDrop` leaves the descriptor open for its owner. It may not be open at all; then the look's first call says so.
    let borrowed = ManuallyDrop::new(unsafe { from_raw(raw) });
    Ok(look(&borrowed))
}

/// The descriptor's number; from now on the caller owns it.
pub(super) fn give(socket: Socket) -> Raw {
    #[cfg(unix)]
    return socket.into_raw_fd();
    #[cfg(windows)]
    return socket.into_raw_socket();
}

/// Wraps a descriptor in a `socket.socket`, which owns it.
pub(super) fn as_python<'py>(py: Python<'py>, socket: Socket, timeout: Timeout) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("socket")?.getattr("socket")?;
    let keywords = pyo3::types::PyDict::new(py);
    let raw = give(socket);
    keywords.set_item("fileno", raw)?;
    let sock = class.call((), Some(&keywords))?;
    // Longer than Python's clock counts is for ever.
    if sock.call_method1("settimeout", (timeout.as_secs(),)).is_err() {
        sock.call_method1("settimeout", (py.None(),))?;
    }
    Ok(sock)
}

/// The number of an open descriptor.
pub(super) fn number(socket: &Socket) -> Raw {
    #[cfg(unix)]
    return std::os::fd::AsRawFd::as_raw_fd(socket);
    #[cfg(windows)]
    return std::os::windows::io::AsRawSocket::as_raw_socket(socket);
}

/// # Safety
/// Who drops the result closes `raw`, which must be a socket of the caller's then.
unsafe fn from_raw(raw: Raw) -> Socket {
    #[cfg(unix)]
    // SAFETY: by the caller's promise.
    return unsafe { Socket::from_raw_fd(raw) };
    #[cfg(windows)]
    // SAFETY: by the caller's promise.
    return unsafe { Socket::from_raw_socket(raw) };
}
