//! Recordings for Python: start, stop, hand over the events. What they mean is for `python/socklens/story` to say.

use std::net::{IpAddr, SocketAddr};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::arguments::{Count, python_address};
use super::awaiting::Connecting;
use super::connection::Connection;
use super::info::State;
use super::listener::Listener;
use crate::core;
use crate::core::record::{self, Event, Failure, Head, Moved, Notes, Way, Whose};
use crate::core::state;

/// A recording of every call on sockets of socklens, from its making to `stop()`. Private: `socklens.record()` is the friendly form.
#[pyclass(frozen, module = "socklens._socklens", name = "_Recording")]
pub(super) struct Recording(parking_lot::Mutex<Option<record::Recording>>);

#[pymethods]
impl Recording {
    #[new]
    fn new(limit: Count) -> PyResult<Self> {
        let limit = limit.at_least(1, "record", "limit")?;
        record::names_by(name_of_this_thread);
        Ok(Self(parking_lot::Mutex::new(Some(record::Recording::start(limit)))))
    }

    /// (how many events were dropped, the events from number `start` on, in the order in which the calls ended).
    fn events<'py>(&self, py: Python<'py>, start: u64) -> PyResult<(u64, Vec<Bound<'py, PyTuple>>)> {
        let (lost, events) = self.0.lock().as_ref().map_or_else(Default::default, |recording| recording.events(start));
        let rows = events.into_iter().map(|event| row(py, event)).collect::<PyResult<_>>()?;
        Ok((lost, rows))
    }

    /// Ends it, and forgets the events.
    fn stop(&self) {
        let over = self.0.lock().take();
        drop(over);
    }
}

/// The name that Python knows this thread by. Called only where Python has called in, or by a thread that may wait for the interpreter.
fn name_of_this_thread() -> Option<String> {
    Python::try_attach(|py| py.import("threading")?.call_method0("current_thread")?.getattr("name")?.extract()).and_then(PyResult::ok)
}

fn row<'py>(py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyTuple>> {
    let address = |address: Option<SocketAddr>| address.map(|address| python_address(py, address)).transpose();
    let call = (event.socket, &*event.call, event.began, event.ended, &*event.thread, event.foreign);
    let ends = (address(event.local)?, address(event.peer)?, event.made);
    let moved = event.moved.map(|moved| (word(moved.way), moved.at, moved.count));
    let known = (event.end_seen, event.reset, event.before.map(State), event.after.map(State));
    let failure = event.failure.map(|failure| (failure.kind.into_owned(), failure.code, failure.text));
    (call, ends, moved, PyBytes::new(py, event.head.as_slice()), known, failure).into_pyobject(py)
}

fn word(way: Way) -> &'static str {
    match way {
        Way::Out => "out",
        Way::In => "in",
        Way::Back => "back",
    }
}

/// The most characters of an exception's message that an event keeps.
const LONGEST: usize = 200;

/// Adds that the handler of the server that serves this connection has failed with this exception, if anybody records.
pub(super) fn tell_of_handler(connection: &core::Connection, error: &Bound<'_, PyAny>) {
    if !record::is_on() {
        return;
    }
    let unknown = || "(its message cannot be had)".to_owned();
    let text = error.str().map_or_else(|_| unknown(), |text| text.to_string_lossy().chars().take(LONGEST).collect());
    let kind = error.get_type().name().map_or_else(|_| "Exception".to_owned(), |name| name.to_string_lossy().into_owned());
    connection.tell_of_handler(Failure { kind: kind.into(), code: None, text });
}

/// As `tell_of_handler`, for handlers that Python calls.
#[pyfunction]
#[pyo3(name = "_record_handler")]
pub(super) fn handler(connection: &Bound<'_, Connection>, error: &Bound<'_, PyAny>) {
    tell_of_handler(&connection.get().core, error);
}

/// A call of a task that waits to try again, while somebody records.
#[pyclass(frozen, module = "socklens._socklens", name = "_Paused")]
pub(super) struct Paused(parking_lot::Mutex<record::Paused>);

#[pymethods]
impl Paused {
    /// Another try of it: `attempt(timeout=timeout)`.
    fn again<'py>(&self, attempt: &Bound<'py, PyAny>, timeout: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = attempt.py();
        let names = PyDict::new(py);
        names.set_item(intern!(py, "timeout"), timeout)?;
        let so_far = *self.0.lock();
        let answer = so_far.resumed(|| attempt.call((), Some(&names)));
        if let Some(paused) = record::Paused::last() {
            *self.0.lock() = *paused;
        }
        answer
    }

    /// There is no other try of this call, because of an exception of this class that says this.
    fn end(&self, call: String, kind: String, text: String) {
        self.0.lock().end(call, Failure { kind: kind.into(), code: None, text });
    }
}

/// The call of this thread whose try has just come to nothing; None if nobody records.
#[pyfunction]
#[pyo3(name = "_record_paused")]
pub(super) fn paused() -> Option<Paused> {
    record::Paused::last().map(|paused| Paused(parking_lot::Mutex::new(*paused)))
}

/// The call of a task on this object whose tries so far nobody recorded; None if nobody records now, or there is nothing yet to record it of.
#[pyfunction]
#[pyo3(name = "_record_under_way")]
pub(super) fn under_way(target: &Bound<'_, PyAny>) -> Option<Paused> {
    if !record::is_on() {
        return None;
    }
    let whose = if let Ok(connection) = target.cast::<Connection>() {
        Some(connection.get().core.whose())
    } else if let Ok(listener) = target.cast::<Listener>() {
        Some(listener.get().core.whose())
    } else {
        target.cast::<Connecting>().ok().and_then(|connecting| connecting.get().core.whose())
    };
    whose.map(|whose| Paused(parking_lot::Mutex::new(record::Paused::under_way(whose))))
}

/// Nanoseconds on the clock of all recordings.
#[pyfunction]
#[pyo3(name = "_record_clock")]
pub(super) fn clock() -> u64 {
    record::now()
}

/// A number for a socket of Python's.
#[pyfunction]
#[pyo3(name = "_record_number")]
pub(super) fn number() -> u32 {
    record::number()
}

/// The number that the recordings know a Connection or a Listener by; `None` for anything else.
#[pyfunction]
#[pyo3(name = "_record_number_of", signature = (thing, /))]
pub(super) fn number_of(thing: &Bound<'_, PyAny>) -> Option<u32> {
    if let Ok(connection) = thing.cast::<Connection>() {
        return Some(connection.get().core.number());
    }
    thing.cast::<Listener>().ok().map(|listener| listener.get().core.number())
}

/// An endpoint as the socket module gives it; `None` for what is no endpoint of IP.
pub(super) struct Given(Option<SocketAddr>);

impl<'py> FromPyObject<'_, 'py> for Given {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let parts: Option<(String, u16)> = value.extract()?;
        Ok(Self(parts.and_then(|(host, port)| Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port)))))
    }
}

/// Adds a call on a socket of Python's, of this thread, that ends now. `states` are Linux's numbers, 0 for unknown; `moved` is (out or not, at, count).
#[pyfunction]
#[pyo3(name = "_record_call")]
#[allow(clippy::too_many_arguments, reason = "a row")]
pub(super) fn record_call(
    number: u32,
    call: String,
    began: u64,
    ends: (Given, Given),
    made: Option<u32>,
    moved: Option<(bool, Option<i64>, u64)>,
    head: &[u8],
    end_seen: bool,
    states: (u8, u8),
    failure: Option<(String, Option<i32>, String)>,
) {
    let whose = Whose { socket: number, local: ends.0.0, peer: ends.1.0 };
    let notes = Notes {
        moved: moved.map(|(out, at, count)| Moved { way: if out { Way::Out } else { Way::In }, at, count }),
        head: Head::of(head),
        end_seen,
        reset: false,
        before: state::TcpState::from_number(states.0),
        after: state::TcpState::from_number(states.1),
        made,
        ..Notes::default()
    };
    let failure = failure.map(|(kind, code, text)| Failure { kind: kind.into(), code, text });
    record::foreign(call, Some(began), record::now(), whose, notes, failure);
}
