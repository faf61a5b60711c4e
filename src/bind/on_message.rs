//! A Python function that is called for each message of a server's clients. The reactor's thread keeps the interpreter for a whole turn and lets go of
//! it only while it waits: to attach a thread anew for every message costs 7 µs, and this 50 ns.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes::{copied_if_it_can_be, reading};
use super::connection::Connection;
use super::errors::made;
use super::record::tell_of_handler;
use crate::core::framing::{ByteOrder, Found, Framing, Prefixed, Until};
use crate::core::server::{Client, Handler, LINE_LIMIT, Turn};

/// The longest message behind a length prefix, in bytes.
const FRAME_LIMIT: usize = 16 << 20;
/// Messages that are handled in one go: behind each such lot somebody else may have a word.
const AT_ONCE: usize = 64;
/// Exceptions that are kept until somebody asks for them.
const KEPT: usize = 1000;

/// How bytes become messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Line,
    Frame,
    Chunk,
}

/// A handler for `Server`: a Python function that is called for each message, `callback(conn, message)`.
///
/// What it returns, if it is not None, is sent back to that client. It runs on the server's own thread, one call after the other, so it must
/// not wait: while it does, no client is served. `conn.send()` and `server.broadcast()` do not wait there.
///
/// Args:
///     callback: called with the client's Connection and the message, as bytes.
///     framing: "line": up to and including b"\n", 65536 bytes at the most; a last line without its end is a message too. "frame": behind a
///         4-byte length, as `send_frame` sends it; the answer gets one as well. "chunk": whatever is here, cut anywhere.
#[pyclass(frozen, module = "socklens")]
pub(super) struct OnMessage {
    callback: Py<PyAny>,
    cut: Cut,
}

/// What a callback raised.
pub(super) struct Raised {
    pub(super) name: Option<String>,
    pub(super) peer: SocketAddr,
    pub(super) exception: PyErr,
    pub(super) at: SystemTime,
}

/// What callbacks have raised and nobody has asked for yet: the newest, and how many older ones had to go.
#[derive(Default)]
pub(super) struct Newest {
    pub(super) raised: VecDeque<Raised>,
    pub(super) lost: u64,
}

impl Newest {
    /// Gives back what had to go for it.
    fn add(&mut self, raised: Raised) -> Option<Raised> {
        self.raised.push_back(raised);
        let over = self.raised.len() > KEPT;
        self.lost += u64::from(over);
        if over { self.raised.pop_front() } else { None }
    }
}

pub(super) type Raisings = Arc<Mutex<Newest>>;

#[pymethods]
impl OnMessage {
    #[new]
    #[pyo3(signature = (callback, framing="line"))]
    fn new(callback: Bound<'_, PyAny>, framing: &str) -> PyResult<Self> {
        if !callback.is_callable() {
            let kind = callback.get_type().name()?;
            return Err(PyTypeError::new_err(format!("OnMessage takes a function, callback(conn, message), not {kind}")));
        }
        let cut = match framing {
            "line" => Cut::Line,
            "frame" => Cut::Frame,
            "chunk" => Cut::Chunk,
            _ => return Err(PyValueError::new_err(format!("framing is \"line\", \"frame\" or \"chunk\", not {framing:?}"))),
        };
        Ok(Self { callback: callback.unbind(), cut })
    }

    /// The function that is called.
    #[getter]
    fn callback(&self, py: Python<'_>) -> Py<PyAny> {
        self.callback.clone_ref(py)
    }

    /// How bytes become messages: "line", "frame" or "chunk".
    #[getter]
    fn framing(&self) -> &'static str {
        match self.cut {
            Cut::Line => "line",
            Cut::Frame => "frame",
            Cut::Chunk => "chunk",
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.callback)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<OnMessage {} for each {}>", self.callback.bind(py).repr()?, format!("{:?}", self.cut).to_lowercase()))
    }
}

impl OnMessage {
    /// A handler for one server, and where it keeps what the callback raises.
    pub(super) fn handler(&self, py: Python<'_>) -> (Calling, Raisings) {
        let raised = Raisings::default();
        let calling = Calling {
            callback: self.callback.clone_ref(py),
            cut: self.cut,
            clients: HashMap::new(),
            messages: Vec::new(),
            more: false,
            raised: Arc::clone(&raised),
        };
        (calling, raised)
    }
}

/// The handler at work.
pub(super) struct Calling {
    callback: Py<PyAny>,
    cut: Cut,
    /// The objects of those who have sent something.
    clients: HashMap<u32, Py<Connection>>,
    /// The messages of the client at hand.
    messages: Vec<Py<PyBytes>>,
    /// Whether the client at hand has more than one turn's.
    more: bool,
    raised: Raisings,
}

impl std::fmt::Debug for Calling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calling").field("cut", &self.cut).finish_non_exhaustive()
    }
}

impl Calling {
    /// Takes the messages out of what is here, and tells how many bytes that were; or why the client cannot stay.
    fn cut(&mut self, py: Python<'_>, bytes: &[u8]) -> Result<usize, String> {
        self.more = false;
        if self.cut == Cut::Chunk {
            return self.take(py, bytes).map(|()| bytes.len());
        }
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let found = match self.cut {
                Cut::Frame => framing().map_or(Found::TooLong, |mut framing| framing.look(rest, 0)),
                _ => Until::line(LINE_LIMIT, true).look(rest, 0),
            };
            match found {
                Found::Whole { payload, length } => {
                    self.take(py, &rest[payload])?;
                    used += length;
                    if self.messages.len() == AT_ONCE {
                        self.more = true;
                        return Ok(used);
                    }
                }
                Found::More(_) => return Ok(used),
                Found::TooLong if self.cut == Cut::Frame => return Err(format!("it announced a frame of more than {FRAME_LIMIT} bytes")),
                Found::TooLong => return Err(format!("it sent a line longer than {LINE_LIMIT} bytes")),
            }
        }
    }

    fn take(&mut self, py: Python<'_>, message: &[u8]) -> Result<(), String> {
        let message = copied_if_it_can_be(py, message).ok_or("there is no memory for its message")?;
        self.messages.push(message.unbind());
        Ok(())
    }

    /// The answers wait in the connection, one behind the other and behind what the callback has sent itself, until all messages are answered.
    fn answer(&self, turn: &mut Turn<'_>, client: Client<'_>, answer: &Bound<'_, PyAny>) -> PyResult<()> {
        if answer.is_none() {
            return Ok(());
        }
        let cut = self.cut;
        reading("the answer of an OnMessage callback", answer, |bytes| {
            if cut == Cut::Frame {
                let header = framing().and_then(|framing| framing.header(bytes.len()));
                let header = header.ok_or_else(|| PyValueError::new_err("an answer of 4 GiB or more has no 4-byte length"))?;
                turn.queue(client, &header);
            }
            turn.queue(client, bytes);
            Ok(())
        })
    }

    fn call(&mut self, py: Python<'_>, turn: &mut Turn<'_>, client: Client<'_>, messages: &mut Vec<Py<PyBytes>>) -> PyResult<()> {
        let conn = match self.clients.get(&client.key) {
            Some(conn) => conn.clone_ref(py),
            None => {
                let conn = Connection::shared(py, Arc::clone(client.conn))?.unbind();
                self.clients.insert(client.key, conn.clone_ref(py));
                conn
            }
        };
        let callback = self.callback.clone_ref(py);
        for message in messages.drain(..) {
            let answer = callback.bind(py).call1((&conn, message))?;
            self.answer(turn, client, &answer)?;
        }
        Ok(())
    }
}

fn framing() -> Option<Prefixed> {
    Prefixed::new(4, ByteOrder::Big, FRAME_LIMIT)
}

impl Handler for Calling {
    fn name(&self) -> &'static str {
        "OnMessage"
    }

    fn received(&mut self, turn: &mut Turn<'_>, client: Client<'_>, bytes: &[u8]) -> usize {
        // The thread is attached already but for the short way here from the wait: this only looks.
        let cut = Python::attach(|py| {
            // Those of a read that failed after all.
            self.messages.clear();
            self.cut(py, bytes)
        });
        cut.unwrap_or_else(|reason| {
            turn.drop_client(client.key, reason);
            0
        })
    }

    fn has_more(&self) -> bool {
        self.more
    }

    fn handle(&mut self, turn: &mut Turn<'_>, client: Client<'_>) {
        if self.messages.is_empty() {
            return;
        }
        let mut messages = std::mem::take(&mut self.messages);
        let result = Python::attach(|py| {
            let result = self.call(py, turn, client, &mut messages);
            messages.clear();
            result
        });
        self.messages = messages;
        if let Err(exception) = result {
            let exception = Python::attach(|py| {
                let exception = made(py, exception);
                tell_of_handler(client.conn, exception.value(py).as_any());
                exception
            });
            let name = turn.name_of(client);
            let raised = Raised { name, peer: client.conn.peer_addr(), exception, at: SystemTime::now() };
            let oldest = self.raised.lock().add(raised);
            Python::attach(|_| drop(oldest));
            turn.close(client.key);
        }
    }

    fn finished(&mut self, turn: &mut Turn<'_>, client: Client<'_>, rest: &[u8]) {
        if self.cut == Cut::Line && !rest.is_empty() {
            if let Err(reason) = Python::attach(|py| self.take(py, rest)) {
                turn.drop_client(client.key, reason);
            }
        }
    }

    fn left(&mut self, _turn: &mut Turn<'_>, key: u32) {
        if let Some(conn) = self.clients.remove(&key) {
            Python::attach(|_| drop(conn));
        }
    }
}
