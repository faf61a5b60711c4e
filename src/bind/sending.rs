//! The send family of Connection.

use std::net::Shutdown;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::arguments::{Count, TimeoutArg, byte_order, kind};
use super::bytes::reading;
use super::connection::Connection;
use super::errors::plainly;
use super::patience::waiting;
use crate::core::framing::Prefixed;

/// A prefix rule, or the sentence that says which there are.
pub(super) fn prefixed(doing: &str, prefix: Count, byteorder: &str, max: usize) -> PyResult<Prefixed> {
    let order = byte_order(byteorder)?;
    usize::try_from(prefix.0)
        .ok()
        .and_then(|width| Prefixed::new(width, order, max))
        .ok_or_else(|| PyValueError::new_err(format!("{doing}: a length prefix has 1, 2, 4 or 8 bytes, not {}", prefix.0)))
}

fn direction(how: &Bound<'_, PyAny>) -> PyResult<Shutdown> {
    // By name, or by the numbers of socket.SHUT_RD, SHUT_WR and SHUT_RDWR.
    if let Ok(name) = how.extract::<&str>() {
        match name {
            "recv" => return Ok(Shutdown::Read),
            "send" => return Ok(Shutdown::Write),
            "both" => return Ok(Shutdown::Both),
            _ => {}
        }
    } else if let Ok(number) = how.extract::<i32>() {
        match number {
            0 => return Ok(Shutdown::Read),
            1 => return Ok(Shutdown::Write),
            2 => return Ok(Shutdown::Both),
            _ => {}
        }
    }
    Err(PyValueError::new_err(format!("shutdown takes \"send\", \"recv\" or \"both\", not {}", kind(how)?)))
}

#[pymethods]
impl Connection {
    /// Hands bytes to the kernel and returns how many it took: at least one, perhaps not all (send(2)).
    ///
    /// The bytes are then in `output_buffer` until the peer's kernel acknowledges them; that the peer's program has read them is not known. Waits
    /// while the send buffer is full.
    ///
    /// Args:
    ///     data: bytes, bytearray, memoryview, array: any object with a contiguous buffer. Text needs `.encode()`.
    ///     timeout: seconds; None waits for ever; 0 never waits; left out, `conn.timeout`.
    ///
    /// Raises:
    ///     BrokenPipeError, ConnectionResetError: the connection is over.
    ///     TimeoutError: the send buffer stayed full. BlockingIOError: it is full, and the timeout is 0.
    ///     ClosedError: this connection was closed by this program. TypeError: data has no buffer.
    #[pyo3(signature = (data, *, timeout=TimeoutArg::OWN), text_signature = "($self, data, *, timeout=...)")]
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: TimeoutArg) -> PyResult<usize> {
        reading("send", data, |bytes| waiting(py, timeout.or(|| self.core.timeout()), |wait| self.core.send(bytes, wait)))
    }

    /// Hands all bytes to the kernel, in one piece as far as other threads are concerned; returns None.
    ///
    /// If it fails, the exception's `sent` says how many bytes the kernel had taken. Arguments and exceptions are those of `send`.
    #[pyo3(signature = (data, *, timeout=TimeoutArg::OWN), text_signature = "($self, data, *, timeout=...)")]
    fn sendall(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: TimeoutArg) -> PyResult<()> {
        reading("sendall", data, |bytes| waiting(py, timeout.or(|| self.core.timeout()), |wait| self.core.sendall(bytes, wait)))
    }

    /// Sends one message with its length in front, so that `recv_frame` on the other side gets it whole.
    ///
    /// Args:
    ///     data: as for `send`; may be empty.
    ///     prefix: the width of the length in bytes: 1, 2, 4 or 8.
    ///     byteorder: "big" (network order) or "little".
    ///     timeout: as for `send`.
    ///
    /// Raises:
    ///     FrameTooLongError: the length does not fit into the prefix; nothing was sent.
    ///     ValueError: no such prefix or byte order. Else those of `send`; the exception's `sent` counts the prefix too.
    #[pyo3(
        signature = (data, prefix=Count(4), *, byteorder="big", timeout=TimeoutArg::OWN),
        text_signature = "($self, data, prefix=4, *, byteorder=\"big\", timeout=...)"
    )]
    fn send_frame(&self, py: Python<'_>, data: &Bound<'_, PyAny>, prefix: Count, byteorder: &str, timeout: TimeoutArg) -> PyResult<()> {
        let framing = prefixed("send_frame", prefix, byteorder, usize::MAX)?;
        reading("send_frame", data, |bytes| {
            waiting(py, timeout.or(|| self.core.timeout()), |wait| self.core.send_frame(bytes, &framing, wait))
        })
    }

    /// Finishes one direction, or both, without closing (shutdown(2)).
    ///
    /// `"send"` sends FIN after the bytes sent so far: the peer's recv returns b"" when it has read them, and this side can still receive (a
    /// half-close). `"recv"` makes this side's recv return b"" when the queue is empty; the peer is not told. `"both"` is both. The numbers of
    /// `socket.SHUT_WR` and its kin work too.
    ///
    /// Raises:
    ///     OSError (ENOTCONN): the connection is over. ClosedError. ValueError: no such direction.
    #[pyo3(signature = (how=None), text_signature = "($self, how=\"both\")")]
    fn shutdown(&self, py: Python<'_>, how: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let how = how.map_or(Ok(Shutdown::Both), direction)?;
        self.core.shutdown(how).map_err(plainly(py))
    }
}
