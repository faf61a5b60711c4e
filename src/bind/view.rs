//! Frozen views for Python. They hold a copy made by the core; no method asks the kernel again.

use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arguments::Count;
use super::bytes::copied;
use super::errors::plainly;
use crate::core::view;

/// The first bytes of a view's content, shown in a repr.
const SHOWN: usize = 24;

fn shown(py: Python<'_>, content: &[u8]) -> PyResult<String> {
    let head = &content[..content.len().min(SHOWN)];
    let text = PyBytes::new(py, head).repr()?.to_string();
    Ok(if content.len() > SHOWN { format!("{text}...") } else { text })
}

fn first<'py>(py: Python<'py>, content: &[u8], n: Option<Count>) -> PyResult<Bound<'py, PyBytes>> {
    let count = n.map_or(Ok(content.len()), |n| n.at_least(0, "peek", "n"))?;
    copied(py, &content[..count.min(content.len())]).map_err(plainly(py))
}

fn told<T>(value: Option<T>, what: &str) -> PyResult<T> {
    value.ok_or_else(|| PyNotImplementedError::new_err(format!("{what}: this system does not tell how many bytes its queue holds")))
}

/// The input buffer of a connection at one moment: a frozen view.
///
/// Bytes lie in two places, oldest first: in `rust` memory (what a framing read took beyond its frame, and what `unrecv` put back), then in the
/// `kernel`'s receive queue. `len(view)` is both together, in bytes. `bytes(view)` and `peek()` show the content without consuming it.
///
/// Observed: `kernel` (ioctl FIONREAD, tcp(7)), `capacity` (SO_RCVBUF, socket(7)), the content (recv with MSG_PEEK). Counted by socklens: `rust`.
#[pyclass(frozen, eq, module = "socklens")]
#[derive(PartialEq)]
pub(super) struct InputBuffer(pub(super) view::Input);

#[pymethods]
impl InputBuffer {
    fn __len__(&self) -> PyResult<usize> {
        Ok(self.0.rust + self.kernel()?)
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        first(py, &self.0.content, None)
    }

    /// The kernel's receive buffer as it granted it, in bytes (SO_RCVBUF).
    ///
    /// Linux doubles what is asked for and counts its own overhead against it, so fewer payload bytes fit (socket(7)). It may grow over time.
    #[getter]
    fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// The receive buffer that `recv_buffer=` asked for, in bytes; None if the kernel chose.
    #[getter]
    fn asked(&self) -> Option<usize> {
        self.0.asked
    }

    /// Bytes in this program's own memory.
    #[getter]
    fn rust(&self) -> usize {
        self.0.rust
    }

    /// Bytes in the kernel's receive queue.
    #[getter]
    fn kernel(&self) -> PyResult<usize> {
        told(self.0.kernel, "input_buffer.kernel")
    }

    /// The oldest `n` bytes, or all that the view holds (64 KiB at the most). Nothing is consumed.
    #[pyo3(signature = (n=None))]
    fn peek<'py>(&self, py: Python<'py>, n: Option<Count>) -> PyResult<Bound<'py, PyBytes>> {
        first(py, &self.0.content, n)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let view::Input { rust, kernel, capacity, content, .. } = &self.0;
        let kernel = kernel.map_or("kernel unknown".into(), |count| format!("kernel {count} of {capacity}"));
        Ok(format!("<InputBuffer {} B: rust {rust} + {kernel}, {}>", rust + self.0.kernel.unwrap_or(0), shown(py, content)?))
    }
}

/// The output buffer of a connection at one moment: a frozen view of what the kernel has taken from `send` and the peer's kernel has not
/// acknowledged.
///
/// `len(view)` is all of it, in bytes: `unacknowledged` (sent, no ACK yet), `unsent` (not sent at all, because the peer's window or the
/// congestion window is full) and, on a connection that a server in Rust drives, `rust` (not taken by the kernel yet, because this buffer is full).
///
/// Observed: the kernel's numbers (ioctl SIOCOUTQ and SIOCOUTQNSD, tcp(7)) and `capacity` (SO_SNDBUF, socket(7)). Counted by socklens: `rust`. Derived:
/// the content, which is the copy that socklens keeps of the last 64 KiB sent, cut to the number that the kernel reports; the queue itself cannot be
/// read without privileges. A server in Rust keeps no such copy for its clients; what waits in `rust` is shown.
#[pyclass(frozen, eq, module = "socklens")]
#[derive(PartialEq)]
pub(super) struct OutputBuffer(pub(super) view::Output);

#[pymethods]
impl OutputBuffer {
    fn __len__(&self) -> PyResult<usize> {
        Ok(told(self.0.outstanding, "output_buffer")? + self.0.rust)
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        first(py, &self.0.content, None)
    }

    /// The kernel's send buffer as it granted it, in bytes (SO_SNDBUF).
    ///
    /// Linux doubles what is asked for and counts its own overhead against it (socket(7)). It may grow over time.
    #[getter]
    fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// The send buffer that `send_buffer=` asked for, in bytes; None if the kernel chose.
    #[getter]
    fn asked(&self) -> Option<usize> {
        self.0.asked
    }

    /// Bytes that were sent and have not been acknowledged.
    #[getter]
    fn unacknowledged(&self) -> PyResult<usize> {
        Ok(told(self.0.outstanding, "output_buffer")? - self.0.unsent.unwrap_or(0))
    }

    /// Bytes that have not been sent at all yet; None where the system does not tell.
    #[getter]
    fn unsent(&self) -> Option<usize> {
        self.0.unsent
    }

    /// Bytes that a server has for this client and the kernel has not taken yet; 0 on every connection that no server drives.
    #[getter]
    fn rust(&self) -> usize {
        self.0.rust
    }

    /// How many of the oldest bytes are no longer held in the copy; `peek()` shows the bytes after them.
    #[getter]
    fn not_kept(&self) -> usize {
        self.0.not_kept
    }

    /// The oldest `n` bytes that the view holds, or all of them (64 KiB at the most). Nothing is consumed.
    #[pyo3(signature = (n=None))]
    fn peek<'py>(&self, py: Python<'py>, n: Option<Count>) -> PyResult<Bound<'py, PyBytes>> {
        first(py, &self.0.content, n)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Some(outstanding) = self.0.outstanding else { return Ok("<OutputBuffer unknown on this system>".into()) };
        let unsent = self.0.unsent.unwrap_or(0);
        let rust = if self.0.rust > 0 { format!(" + rust {}", self.0.rust) } else { String::new() };
        let parts = format!("unacknowledged {} + unsent {unsent} of {}{rust}", outstanding - unsent, self.0.capacity);
        let total = outstanding + self.0.rust;
        let gone = match self.0.not_kept {
            0 => String::new(),
            count => format!("{count} B not kept, then "),
        };
        Ok(format!("<OutputBuffer {total} B: {parts}, {gone}{}>", shown(py, &self.0.content)?))
    }
}

/// Bytes over a connection's life, counted by the calls of this program: a frozen view.
///
/// `received + put_back == read +` the bytes in `input_buffer.rust`.
#[pyclass(frozen, eq, module = "socklens")]
#[derive(PartialEq)]
pub(super) struct Totals(pub(super) view::Totals);

#[pymethods]
impl Totals {
    /// Bytes that the kernel has taken from this program.
    #[getter]
    fn sent(&self) -> u64 {
        self.0.sent
    }

    /// Bytes taken out of the kernel's receive queue.
    #[getter]
    fn received(&self) -> u64 {
        self.0.received
    }

    /// Bytes that the recv calls have handed to the program.
    #[getter]
    fn read(&self) -> u64 {
        self.0.read
    }

    /// Bytes that the program gave back with `unrecv`.
    #[getter]
    fn put_back(&self) -> u64 {
        self.0.put_back
    }

    fn __repr__(&self) -> String {
        let view::Totals { sent, received, read, put_back } = self.0;
        format!("Totals(sent={sent}, received={received}, read={read}, put_back={put_back})")
    }
}
