//! The recv family of Connection, and the iterator over lines.

use std::cell::Cell;
use std::mem::MaybeUninit;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arguments::{Count, TimeoutArg};
use super::bytes::{copied, copied_if_it_can_be, filled, reading, writing, written};
use super::connection::Connection;
use super::errors::plainly;
use super::patience::waiting;
use super::sending::prefixed;
use crate::core::Result;
use crate::core::framing::{Exactly, Framing, ToEnd, Until};

/// Up to here a read lands in scratch memory first; from here on, in the `bytes` object itself.
const SMALL: usize = 64 << 10;
const LINE_LIMIT: Count = Count(1 << 20);
const FRAME_LIMIT: Count = Count(16 << 20);
const ALL_LIMIT: Count = Count(64 << 20);
const CHUNK: Count = Count(SMALL as i64);

type Bytes<'py> = PyResult<Bound<'py, PyBytes>>;

/// Lends this thread's scratch memory, of [`SMALL`] bytes: more than a thread with a small stack has there.
fn with_scratch<T>(work: impl FnOnce(&mut [MaybeUninit<u8>]) -> T) -> T {
    thread_local! {
        static SCRATCH: Cell<Option<Box<[MaybeUninit<u8>]>>> = const { Cell::new(None) };
    }
    // A signal handler that reads while this thread waits in a read finds it lent, and gets its own.
    let mut scratch = SCRATCH.take().unwrap_or_else(|| Box::new_uninit_slice(SMALL));
    let answer = work(&mut scratch);
    SCRATCH.set(Some(scratch));
    answer
}

impl Connection {
    /// One frame; `None` at an end of the stream between frames. What is at hand is given without another call: a line of 32 bytes takes 80 ns,
    /// and every call on the way 2 of them.
    #[inline(always)]
    fn frame<'py>(
        &self,
        py: Python<'py>,
        doing: &'static str,
        framing: &mut impl Framing,
        timeout: TimeoutArg,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.core.frame_at_hand(doing, framing, |bytes| copied_if_it_can_be(py, bytes)) {
            Some(frame) => Ok(Some(frame)),
            None => self.awaited_frame(py, doing, framing, timeout),
        }
    }

    #[inline(never)]
    fn awaited_frame<'py>(
        &self,
        py: Python<'py>,
        doing: &'static str,
        framing: &mut impl Framing,
        timeout: TimeoutArg,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let timeout = timeout.or(|| self.core.timeout());
        waiting(py, timeout, |wait| self.core.recv_frame(doing, framing, wait, |bytes| copied(py, bytes)))
    }

    /// A separated frame; its end, where b"" cannot say it, is an exception.
    #[inline(always)]
    fn separated<'py>(
        &self,
        py: Python<'py>,
        doing: &'static str,
        mut until: Until<'_>,
        keep_end: bool,
        timeout: TimeoutArg,
    ) -> Bytes<'py> {
        match self.frame(py, doing, &mut until, timeout)? {
            Some(frame) => Ok(frame),
            None if keep_end => Ok(PyBytes::new(py, b"")),
            None => Err(plainly(py)(self.core.ended(doing, &until))),
        }
    }

    #[inline(always)]
    fn until<'py>(&self, py: Python<'py>, separator: &[u8], max: usize, keep_end: bool, timeout: TimeoutArg) -> Bytes<'py> {
        if separator.is_empty() || separator.len() > max {
            return Err(wrong_separator(separator, max));
        }
        self.separated(py, "recv_until", Until::separator(separator, max, keep_end), keep_end, timeout)
    }

    /// A read of at most `max` bytes, through the stack or straight into the object.
    fn up_to<'py>(
        &self,
        py: Python<'py>,
        max: usize,
        read: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize>,
    ) -> Result<Bound<'py, PyBytes>> {
        if max <= SMALL {
            return with_scratch(|space| {
                let count = read(&mut space[..max])?;
                written(py, &space[..count])
            });
        }
        // What waits is taken at once; more may come while it is copied, and is for the next call.
        let here = self.core.input_length()?.clamp(SMALL, max);
        let mut count = 0;
        let object = filled(py, here, |space| {
            // The part behind what was read is cut off below and never seen; it must not be left unwritten all the same.
            count = read(space)?;
            space[count..].fill(MaybeUninit::new(0));
            Ok(())
        })?;
        if count == here { Ok(object) } else { copied(py, &object.as_bytes()[..count]) }
    }
}

#[pymethods]
impl Connection {
    /// Returns the bytes that are here, as soon as there are any: at least 1 and at most `max_bytes`. b"" means that the peer has finished (FIN).
    ///
    /// One recv is not one send: TCP is a stream, and pieces are cut and joined on the way (RFC 9293 section 3.8). For whole messages use
    /// `recv_line`, `recv_until`, `recv_exactly` or `recv_frame`.
    ///
    /// Args:
    ///     max_bytes: the most to return, 1 or more.
    ///     timeout: seconds; None waits for ever; 0 never waits; left out, `conn.timeout`.
    ///
    /// Raises:
    ///     ConnectionResetError: the peer sent RST. TimeoutError: nothing came. BlockingIOError: nothing is here, and the timeout is 0.
    ///     ClosedError: this connection was closed by this program. ValueError: max_bytes is below 1.
    #[pyo3(signature = (max_bytes=CHUNK, *, timeout=TimeoutArg::OWN), text_signature = "($self, max_bytes=65536, *, timeout=...)")]
    fn recv<'py>(&self, py: Python<'py>, max_bytes: Count, timeout: TimeoutArg) -> Bytes<'py> {
        let max = max_bytes.at_least(1, "recv", "max_bytes")?;
        let timeout = timeout.or(|| self.core.timeout());
        waiting(py, timeout, |wait| self.up_to(py, max, |space| self.core.recv("recv", space, wait)))
    }

    /// Receives into a writable buffer (bytearray, memoryview, array) and returns how many bytes came; 0 means that the peer has finished.
    ///
    /// Args:
    ///     buffer: where the bytes go, from its start.
    ///     max_bytes: the most to receive; left out, the buffer's size.
    ///     timeout: as for `recv`.
    ///
    /// Raises:
    ///     TypeError: the buffer is read-only or none at all. ValueError: it is empty, or smaller than max_bytes. Else those of `recv`.
    #[pyo3(signature = (buffer, max_bytes=None, *, timeout=TimeoutArg::OWN), text_signature = "($self, buffer, max_bytes=None, *, timeout=...)")]
    fn recv_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, max_bytes: Option<Count>, timeout: TimeoutArg) -> PyResult<usize> {
        writing("recv_into", buffer, |space| {
            let max = max_bytes.map_or(Ok(space.len()), |max| max.at_least(1, "recv_into", "max_bytes"))?;
            if space.is_empty() {
                return Err(PyValueError::new_err(
                    "recv_into: the buffer is empty, so nothing could be received; 0 would look as if the peer had finished",
                ));
            }
            let size = space.len();
            let space = space.get_mut(..max).ok_or_else(|| {
                PyValueError::new_err(format!("recv_into: max_bytes={max} is more than the {size} bytes that the buffer has"))
            })?;
            waiting(py, timeout.or(|| self.core.timeout()), |wait| self.core.recv("recv_into", space, wait))
        })
    }

    /// Returns exactly `n` bytes; waits until they have come.
    ///
    /// Raises:
    ///     IncompleteReadError: the peer finished before; what had come is in `.partial` and still in the input buffer.
    ///     TimeoutError, ConnectionResetError, KeyboardInterrupt …: as for `recv`; no byte is lost. MemoryError: n is too large.
    #[pyo3(signature = (n, *, timeout=TimeoutArg::OWN), text_signature = "($self, n, *, timeout=...)")]
    fn recv_exactly<'py>(&self, py: Python<'py>, n: Count, timeout: TimeoutArg) -> Bytes<'py> {
        let doing = "recv_exactly";
        let size = n.at_least(0, doing, "n")?;
        if size == 0 {
            // No bytes are to come, so nothing else would notice.
            self.core.with_socket(doing, |_| Ok(())).map_err(plainly(py))?;
        }
        // Who comes again finds what has come in Rust memory, and does not copy it to and fro each time.
        let whole = if size < SMALL || timeout.is_try() {
            self.frame(py, doing, &mut Exactly(size), timeout)?
        } else {
            let timeout = timeout.or(|| self.core.timeout());
            let mut whole = false;
            let object = waiting(py, timeout, |wait| {
                filled(py, size, |space| {
                    whole = self.core.recv_exactly_into(space, wait)?;
                    if whole { Ok(()) } else { Err(self.core.ended(doing, &Exactly(size))) }
                })
            })?;
            whole.then_some(object)
        };
        whole.ok_or_else(|| plainly(py)(self.core.ended(doing, &Exactly(size))))
    }

    /// Returns everything up to and including the separator `sep`; waits until it has come. b"" means that the peer has finished.
    ///
    /// Args:
    ///     sep: the bytes at which to stop, 1 or more.
    ///     max_bytes: the longest answer allowed, the separator included.
    ///     keep_end: False drops the separator. An empty answer is possible then, so the end of the stream raises IncompleteReadError instead.
    ///     timeout: as for `recv`.
    ///
    /// Raises:
    ///     IncompleteReadError: the peer finished before the separator came. FrameTooLongError: there is none within max_bytes.
    ///     ValueError: sep is empty. Else as for `recv`. In every case all bytes stay in the input buffer.
    #[pyo3(
        signature = (sep, *, max_bytes=LINE_LIMIT, keep_end=true, timeout=TimeoutArg::OWN),
        text_signature = "($self, sep, *, max_bytes=1048576, keep_end=True, timeout=...)"
    )]
    fn recv_until<'py>(
        &self,
        py: Python<'py>,
        sep: &Bound<'_, PyAny>,
        max_bytes: Count,
        keep_end: bool,
        timeout: TimeoutArg,
    ) -> Bytes<'py> {
        let doing = "recv_until";
        let max = max_bytes.at_least(1, doing, "max_bytes")?;
        reading(doing, sep, |separator| self.until(py, separator, max, keep_end, timeout))
    }

    /// Returns one line, up to and including its b"\n"; waits until it has come. b"" means that the peer has finished.
    ///
    /// `keep_end=False` drops the b"\n", or b"\r\n". The other arguments and the exceptions are those of `recv_until`.
    #[pyo3(
        signature = (*, max_bytes=LINE_LIMIT, keep_end=true, timeout=TimeoutArg::OWN),
        text_signature = "($self, *, max_bytes=1048576, keep_end=True, timeout=...)"
    )]
    fn recv_line<'py>(&self, py: Python<'py>, max_bytes: Count, keep_end: bool, timeout: TimeoutArg) -> Bytes<'py> {
        let max = max_bytes.at_least(1, "recv_line", "max_bytes")?;
        self.separated(py, "recv_line", Until::line(max, keep_end), keep_end, timeout)
    }

    /// Iterates over lines until the peer finishes: `for line in conn.lines():`
    ///
    /// The arguments are those of `recv_line`, for each line. A stream that ends inside a line raises IncompleteReadError.
    #[pyo3(
        signature = (*, max_bytes=LINE_LIMIT, keep_end=true, timeout=TimeoutArg::OWN),
        text_signature = "($self, *, max_bytes=1048576, keep_end=True, timeout=...)"
    )]
    fn lines(this: Py<Self>, max_bytes: Count, keep_end: bool, timeout: TimeoutArg) -> PyResult<Lines> {
        let max = max_bytes.at_least(1, "lines", "max_bytes")?;
        Ok(Lines { connection: this, max, keep_end, timeout })
    }

    /// Returns the payload of one message that has its length in front, as `send_frame` sends it; waits until it is whole.
    ///
    /// Args:
    ///     prefix, byteorder: as for `send_frame`.
    ///     max_bytes: the longest payload allowed. A peer that announces more gets no memory for it.
    ///     timeout: as for `recv`.
    ///
    /// Raises:
    ///     IncompleteReadError: the peer finished; between frames `.partial` is b"". FrameTooLongError: the length is above max_bytes.
    ///     Else as for `recv`. In every case all bytes stay in the input buffer.
    #[pyo3(
        signature = (prefix=Count(4), *, byteorder="big", max_bytes=FRAME_LIMIT, timeout=TimeoutArg::OWN),
        text_signature = "($self, prefix=4, *, byteorder=\"big\", max_bytes=16777216, timeout=...)"
    )]
    fn recv_frame<'py>(&self, py: Python<'py>, prefix: Count, byteorder: &str, max_bytes: Count, timeout: TimeoutArg) -> Bytes<'py> {
        let doing = "recv_frame";
        let mut framing = prefixed(doing, prefix, byteorder, max_bytes.at_least(0, doing, "max_bytes")?)?;
        self.frame(py, doing, &mut framing, timeout)?.ok_or_else(|| plainly(py)(self.core.ended(doing, &framing)))
    }

    /// Returns everything until the peer finishes.
    ///
    /// Args:
    ///     max_bytes: the most to take.
    ///     timeout: as for `recv`, for the whole.
    ///
    /// Raises:
    ///     FrameTooLongError: more than max_bytes came. Else as for `recv`. In every case all bytes stay in the input buffer.
    #[pyo3(signature = (*, max_bytes=ALL_LIMIT, timeout=TimeoutArg::OWN), text_signature = "($self, *, max_bytes=67108864, timeout=...)")]
    fn recv_all<'py>(&self, py: Python<'py>, max_bytes: Count, timeout: TimeoutArg) -> Bytes<'py> {
        let max = max_bytes.at_least(1, "recv_all", "max_bytes")?;
        let all = self.frame(py, "recv_all", &mut ToEnd { max }, timeout)?;
        Ok(all.unwrap_or_else(|| PyBytes::new(py, b"")))
    }

    /// Returns what `recv` would return, and leaves it in the input buffer (MSG_PEEK). Waits as `recv` does; `input_buffer` looks without waiting.
    #[pyo3(signature = (max_bytes=CHUNK, *, timeout=TimeoutArg::OWN), text_signature = "($self, max_bytes=65536, *, timeout=...)")]
    fn peek<'py>(&self, py: Python<'py>, max_bytes: Count, timeout: TimeoutArg) -> Bytes<'py> {
        let max = max_bytes.at_least(1, "peek", "max_bytes")?;
        let timeout = timeout.or(|| self.core.timeout());
        waiting(py, timeout, |wait| self.up_to(py, max, |space| self.core.peek(space, wait)))
    }

    /// Puts bytes back in front of the input buffer: the next recv returns them first. They need not be bytes that came from the peer.
    ///
    /// Raises:
    ///     BufferError: more than 64 MiB would be held; nothing was put back. ClosedError.
    fn unrecv(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        reading("unrecv", data, |bytes| self.core.unrecv(bytes).map_err(plainly(py)))
    }
}

#[cold]
fn wrong_separator(separator: &[u8], max: usize) -> PyErr {
    PyValueError::new_err(if separator.is_empty() {
        "recv_until: the separator is empty, so every position would end the frame; give 1 byte or more".to_owned()
    } else {
        format!("recv_until: max_bytes={max} leaves no room for a separator of {} bytes", separator.len())
    })
}

/// The lines of a connection, one after the other: what `conn.lines()` returns.
#[pyclass(frozen, module = "socklens")]
pub(super) struct Lines {
    connection: Py<Connection>,
    max: usize,
    keep_end: bool,
    timeout: TimeoutArg,
}

#[pymethods]
impl Lines {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __repr__(&self) -> String {
        format!("<Lines of {}>", self.connection.get().core)
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let connection = self.connection.get();
        connection.frame(py, "lines", &mut Until::line(self.max, self.keep_end), self.timeout)
    }
}
