//! The Rust-side server for Python: its handlers, which are mere names here, and `_Reactor`, which the class Server in Python works with.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use super::arguments::{Count, TimeoutArg, python_address, timeout};
use super::bytes::reading;
use super::connection::Connection;
use super::errors::plainly;
use super::listener::Listener;
use super::on_message::{Newest, OnMessage, Raisings};
use super::patience::{releasing, serving, waiting};
use crate::core::server::{self, Desk, Handler, Limits, Note};
use crate::core::{self, Timeout};

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[pyclass(frozen, module = "socklens")]
        pub(super) struct $name;

        #[pymethods]
        impl $name {
            #[new]
            fn new() -> Self {
                Self
            }

            fn __repr__(&self) -> &'static str {
                concat!("<", stringify!($name), ">")
            }
        }
    )*};
}

services! {
    /// A handler for `Server`, run in Rust: sends every byte back as it comes (RFC 862).
    ///
    /// A client that does not take its bytes back is not read any more until it does.
    Echo
    /// A handler for `Server`, run in Rust: sends every line back once it is whole.
    ///
    /// A line has 65536 bytes at the most, its b"\n" included; whoever sends a longer one is dropped. A last line without its end is sent back when
    /// the client finishes.
    LineEcho
    /// A handler for `Server`, run in Rust: a chat room by lines.
    ///
    /// A client's first line is its name; every later line goes to everybody else as `name: line`. Lines that begin with `* ` tell who
    /// joins and leaves. A line has 65536 bytes at the most, a name 32 characters. Whoever has 1 MiB waiting, because it does not read, is dropped;
    /// `server.dropped` shows it.
    Chat
    /// A handler for `Server`, run in Rust: takes every byte and answers nothing (RFC 863).
    Discard
    /// A handler for `Server`, run in Rust: sends the date and time in GMT as one line and finishes (RFC 867).
    Daytime
}

/// How long a stop waits for a loop that has been told to end, beyond the time that its clients have.
const GRACE: Duration = Duration::from_millis(500);

/// The loop that serves many clients in Rust. `socklens.Server` is the friendly form.
#[pyclass(frozen, name = "_Reactor", module = "socklens")]
pub(super) struct Reactor {
    desk: Arc<Desk>,
    /// Until it is run.
    reactor: Mutex<Option<server::Reactor>>,
    raised: Option<Raisings>,
}

/// A note as (kind, number, name, peer, what, when, figure).
type NoteRow<'py> = (&'static str, Option<u32>, Option<String>, Option<Bound<'py, PyAny>>, Bound<'py, PyAny>, f64, i64);

/// A client as (number, connection, since, name).
type ClientRow<'py> = (u32, Bound<'py, Connection>, f64, Option<String>);

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn handler_of(handler: &Bound<'_, PyAny>) -> PyResult<(Box<dyn Handler>, Option<Raisings>)> {
    if let Ok(on_message) = handler.cast::<OnMessage>() {
        let (handler, raised) = on_message.get().handler(handler.py());
        return Ok((Box::new(handler), Some(raised)));
    }
    let handler: Box<dyn Handler> = if handler.is_instance_of::<Echo>() {
        Box::new(server::Echo)
    } else if handler.is_instance_of::<LineEcho>() {
        Box::new(server::LineEcho)
    } else if handler.is_instance_of::<Chat>() {
        Box::new(server::Chat::default())
    } else if handler.is_instance_of::<Discard>() {
        Box::new(server::Discard)
    } else if handler.is_instance_of::<Daytime>() {
        Box::new(server::Daytime)
    } else {
        let kind = handler.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "{kind} is no handler that runs in Rust: Echo, LineEcho, Chat, Discard, Daytime, OnMessage"
        )));
    };
    Ok((handler, None))
}

impl Reactor {
    fn take(&self) -> PyResult<server::Reactor> {
        self.reactor.lock().take().ok_or_else(|| PyRuntimeError::new_err("this server has been started already"))
    }

    fn of_this_process(&self) -> PyResult<()> {
        if self.desk.is_inherited() {
            return Err(PyRuntimeError::new_err("this server runs in the parent process; a forked child has no part in it"));
        }
        Ok(())
    }
}

#[pymethods]
impl Reactor {
    /// Opens it on a listener. `idle_timeout` is in seconds, None for ever.
    #[new]
    fn new(
        py: Python<'_>,
        listener: &Listener,
        handler: &Bound<'_, PyAny>,
        max_clients: Option<Count>,
        idle_timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (handler, raised) = handler_of(handler)?;
        let clients = max_clients.map(|most| most.at_least(1, "Server", "max_clients")).transpose()?;
        let idle = match idle_timeout.map(timeout).transpose()? {
            Some(Timeout::After(time)) => Some(time),
            _ => None,
        };
        let (desk, reactor) = server::open(Arc::clone(&listener.core), handler, Limits { clients, idle }).map_err(plainly(py))?;
        Ok(Self { desk, reactor: Mutex::new(Some(reactor)), raised })
    }

    /// Serves on a thread of its own, which never touches the interpreter.
    fn start(&self) -> PyResult<()> {
        let reactor = self.take()?;
        let work = move || reactor.run(&mut core::Uninterrupted);
        std::thread::Builder::new().name("socklens server".into()).spawn(work).map(drop).map_err(|error| {
            PyOSError::new_err((error.raw_os_error().unwrap_or(0), format!("the server's thread could not be started: {error}")))
        })
    }

    /// Serves on the calling thread until `stop` is called from another; for OnMessage.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let reactor = self.take()?;
        serving(py, |patience| reactor.run(patience));
        Ok(())
    }

    /// Takes no more clients, gives those who are here what waits for them within `timeout` seconds, and closes them; the port is free when it returns.
    /// False if a callback goes on: the connections are closed all the same. A callback that calls this is not waited for.
    fn stop(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        if self.desk.is_inherited() {
            return Ok(true);
        }
        let time = Duration::try_from_secs_f64(timeout.max(0.0)).unwrap_or(Duration::MAX);
        releasing(py, |patience| self.desk.stop(time, patience));
        if let Some(reactor) = self.reactor.lock().take() {
            // Never started: its end is quickly told.
            releasing(py, |patience| reactor.run(patience));
        }
        // One who is called by the reactor cannot wait for it.
        if self.desk.is_here() {
            return Ok(false);
        }
        let over = releasing(py, |patience| self.desk.join(Some(time.saturating_add(GRACE)), patience));
        if !over {
            releasing(py, |patience| self.desk.abandon(patience));
        }
        Ok(over)
    }

    /// The clients as rows of (number, connection, since, name), in the order in which they came; `since` is a time as `time.time()` tells it.
    fn clients<'py>(&self, py: Python<'py>) -> PyResult<Vec<ClientRow<'py>>> {
        if self.desk.is_inherited() {
            return Ok(vec![]);
        }
        let row = |member: server::Member| Ok((member.number, Connection::shared(py, member.conn)?, unix(member.since), member.name));
        self.desk.members().into_iter().map(row).collect()
    }

    /// Names a client; False if it is gone.
    fn set_name(&self, number: u32, name: &str) -> bool {
        self.desk.set_name(number, name)
    }

    /// Sends to all clients, or all but one, and tells to how many; whoever has not made room for it after `timeout` seconds is dropped.
    fn broadcast(&self, py: Python<'_>, data: &Bound<'_, PyAny>, but: Option<&Connection>, timeout: TimeoutArg) -> PyResult<usize> {
        self.of_this_process()?;
        let but = but.map(|but| &but.core);
        reading("broadcast", data, |bytes| waiting(py, timeout.or(|| Timeout::Forever), |wait| self.desk.broadcast(bytes, but, wait)))
    }

    /// Closes a client, which the caller notes; False if it is none of this server's.
    fn kick(&self, conn: &Connection) -> PyResult<bool> {
        self.of_this_process()?;
        Ok(self.desk.kick(&conn.core))
    }

    /// What happened since the last call, as rows of (kind, number, name, peer, what, when, figure): "dropped" with the reason and the bytes lost,
    /// "trouble" with the words and errno of a failed accept, "error" with what a callback raised; "lost" tells how many older rows of the kind
    /// `what` were not kept.
    fn notes<'py>(&self, py: Python<'py>) -> PyResult<Vec<NoteRow<'py>>> {
        let mut rows = vec![];
        let (notes, lost) = self.desk.notes();
        let unkept = |kind: &'static str, count: u64| -> PyResult<NoteRow<'py>> {
            Ok(("lost", None, None, None, kind.into_pyobject(py)?.into_any(), 0.0, count as i64))
        };
        rows.push(unkept("dropped", lost)?);
        for note in notes {
            rows.push(match note {
                Note::Dropped { number, name, peer, reason, at, unsent } => {
                    let reason = reason.into_pyobject(py)?.into_any();
                    ("dropped", Some(number), name, Some(python_address(py, peer)?), reason, unix(at), unsent as i64)
                }
                Note::Trouble { code, message, at } => {
                    ("trouble", None, None, None, message.into_pyobject(py)?.into_any(), unix(at), i64::from(code))
                }
            });
        }
        let Newest { raised, lost } = self.raised.as_ref().map(|raised| std::mem::take(&mut *raised.lock())).unwrap_or_default();
        rows.push(unkept("error", lost)?);
        for error in raised {
            let exception = error.exception.into_value(py).into_bound(py).into_any();
            rows.push(("error", None, error.name, Some(python_address(py, error.peer)?), exception, unix(error.at), 0));
        }
        Ok(rows)
    }

    /// Clients accepted so far.
    #[getter]
    fn accepted(&self) -> u64 {
        self.desk.counts().0
    }

    /// Clients refused so far, because the server was full.
    #[getter]
    fn refused(&self) -> u64 {
        self.desk.counts().1
    }

    /// Whether it has ended.
    #[getter]
    fn over(&self) -> bool {
        self.desk.is_over()
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if !self.desk.is_inherited() {
            let _if_python_is_there = Python::try_attach(|py| releasing(py, |patience| self.desk.stop(Duration::ZERO, patience)));
        }
    }
}
