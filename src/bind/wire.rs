//! `_Wire`, which the class Wire in Python works with: a relay's thread, what it is set to, and what it tells.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use super::arguments::python_address;
use super::errors::plainly;
use super::listener::Listener;
use super::patience::{confirming, releasing, waiting};
use super::site::warn_unclosed;
use crate::core::resolve::resolve;
use crate::core::wire::{self, Desk, Direction, Drop as Dropping, Mischief, Settings, Split};
use crate::core::{self, Result, Timeout};

/// How long a close waits for the relay's thread, whose turns never sleep.
const END: Duration = Duration::from_secs(5);

/// A wire's relay. `socklens.Wire` is the friendly form, which checks what is set here.
#[pyclass(frozen, weakref, name = "_Wire", module = "socklens")]
pub(super) struct Wire {
    desk: Arc<Desk>,
    listener: Py<Listener>,
}

/// What is set for a direction, as (split, hold, glue, delay, jitter, rate, stalled, reading, finish_at, close_at, reset_at, flip_at); a split is
/// None, sizes, or none of them for random ones.
type Row = (Option<Vec<usize>>, Option<f64>, usize, f64, f64, Option<u64>, bool, bool, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

/// An event as (seconds, connection, direction, what, first byte, byte behind the last, words).
type EventRow = (f64, u32, Option<&'static str>, &'static str, Option<u64>, Option<u64>, String);

/// A connection as (number, client, onward, seconds, bytes passed, bytes waiting, inodes), the last three for the server and for the client.
type LinkRow<'py> = (u32, Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, f64, [u64; 2], [usize; 2], [u64; 2]);

fn seconds(number: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(number).map_err(|error| PyValueError::new_err(format!("{number} s: {error}")))
}

fn mischief(row: Row) -> PyResult<Mischief> {
    let (split, hold, glue, delay, jitter, rate, stalled, reading, finish_at, close_at, reset_at, flip_at) = row;
    let split = match split {
        None => Split::Not,
        Some(sizes) if sizes.is_empty() => Split::Random,
        Some(sizes) => Split::Sizes(sizes),
    };
    Ok(Mischief {
        split,
        hold: hold.map(seconds).transpose()?,
        glue,
        delay: seconds(delay)?,
        jitter: seconds(jitter)?,
        rate: rate.and_then(NonZeroU64::new),
        stalled,
        reading,
        finish_at,
        close_at,
        reset_at,
        flip_at,
    })
}

fn dropping(word: Option<&str>) -> PyResult<Option<Dropping>> {
    match word {
        None => Ok(None),
        Some("reset") => Ok(Some(Dropping::Reset)),
        Some("finish") => Ok(Some(Dropping::Finish)),
        Some(other) => Err(PyValueError::new_err(format!("drop: {other:?}"))),
    }
}

fn direction(word: &str) -> PyResult<Direction> {
    let found = Direction::BOTH.into_iter().find(|direction| direction.name() == word);
    found.ok_or_else(|| PyValueError::new_err(format!("direction: {word:?}")))
}

impl Wire {
    fn is_here(&self) -> PyResult<()> {
        if self.desk.is_inherited() {
            return Err(PyRuntimeError::new_err("this wire runs in the parent process; a forked child has no part in it"));
        }
        Ok(())
    }

    /// Does something between what has happened by now and what happens after this returns: a client that has connected is the relay's before.
    fn order(&self, py: Python<'_>, order: &str, give: impl FnOnce(&Desk) -> Result<()>) -> PyResult<()> {
        self.settle(py, &format!("{order} is not done"))?;
        give(&self.desk).map_err(plainly(py))?;
        self.settle(py, &format!("{order} is under way, but not confirmed"))
    }
}

#[pymethods]
impl Wire {
    /// Opens it on a listener and starts its thread, which never touches the interpreter. The target's name is resolved here, once.
    #[new]
    #[allow(clippy::too_many_arguments, reason = "keywords of a Python class, checked there")]
    fn new(
        py: Python<'_>,
        listener: Py<Listener>,
        host: &str,
        port: u16,
        seed: u64,
        to_server: Row,
        to_client: Row,
        refuse: bool,
        drop: Option<&str>,
        silent: bool,
    ) -> PyResult<Self> {
        let targets = waiting(py, Timeout::Forever, |wait| resolve(host, port, wait))?;
        let settings = Settings { mischief: [mischief(to_server)?, mischief(to_client)?], refuse, drop: dropping(drop)?, silent };
        let (desk, relay) = wire::open(Arc::clone(&listener.get().core), targets, seed, settings).map_err(plainly(py))?;
        let work = move || relay.run(&mut core::Uninterrupted);
        std::thread::Builder::new().name("socklens wire".into()).spawn(work).map_err(|error| {
            PyOSError::new_err((error.raw_os_error().unwrap_or(0), format!("the wire's thread could not be started: {error}")))
        })?;
        let opened = confirming(py, |patience| desk.settle("Wire", patience).and_then(|()| desk.listens_as_set()));
        if opened.is_err() {
            releasing(py, |patience| desk.stop(patience));
        }
        opened.map(|()| Self { desk, listener })
    }

    /// Waits until the relay has carried out what was set, and has seen what has happened by now. `how` says how what was wanted stands if it does not
    /// answer.
    fn settle(&self, py: Python<'_>, how: &str) -> PyResult<()> {
        self.is_here()?;
        confirming(py, |patience| self.desk.settle(how, patience))
    }

    /// Sets everything of a direction, "to_server" or "to_client"; `settle` waits until it holds. `told` is what the story says of it.
    fn set_direction(&self, py: Python<'_>, name: &str, row: Row, told: String) -> PyResult<()> {
        let (direction, mischief) = (direction(name)?, mischief(row)?);
        self.desk.set(told, |settings| settings.mischief[direction as usize] = mischief).map_err(plainly(py))
    }

    /// Sets what becomes of new connections; `settle` waits until it holds.
    fn set_arrivals(&self, py: Python<'_>, refuse: bool, drop: Option<&str>, silent: bool, told: String) -> PyResult<()> {
        let drop = dropping(drop)?;
        let change = |settings: &mut Settings| (settings.refuse, settings.drop, settings.silent) = (refuse, drop, silent);
        self.desk.set(told, change).map_err(plainly(py))
    }

    /// Raises what the kernel said if it did not let the wire listen, or refuse, as was set.
    fn listens_as_set(&self, py: Python<'_>) -> PyResult<()> {
        self.desk.listens_as_set().map_err(plainly(py))
    }

    /// Sends FIN in a direction, after what waits, on every connection.
    fn finish(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let direction = direction(name)?;
        self.order(py, &format!("{name}.finish()"), |desk| desk.finish(direction))
    }

    /// Resets both ends of every connection.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.order(py, "reset()", Desk::reset)
    }

    /// Stops listening, so that the port is free when this returns, and ends every connection.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.desk.is_inherited() {
            releasing(py, |patience| self.listener.get().core.close(patience));
            return Ok(());
        }
        releasing(py, |patience| self.desk.stop(patience));
        confirming(py, |patience| self.desk.join(END, patience))
    }

    /// Whether it has been closed.
    #[getter]
    fn closed(&self) -> bool {
        // In a forked child only the listener is sure to answer.
        self.listener.get().core.is_closed() || (!self.desk.is_inherited() && self.desk.is_over())
    }

    /// Whether nothing listens, or shall listen.
    #[getter]
    fn refuses(&self) -> bool {
        self.desk.refuses()
    }

    /// The socket that it listens on.
    #[getter]
    fn listener(&self, py: Python<'_>) -> Py<Listener> {
        self.listener.clone_ref(py)
    }

    /// How many connections were accepted.
    #[getter]
    fn accepted(&self) -> u64 {
        self.desk.accepted()
    }

    /// When it was opened, as `time.time()` tells it.
    #[getter]
    fn opened(&self) -> f64 {
        self.desk.opened().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }

    /// The open connections, in the order in which they came.
    fn connections<'py>(&self, py: Python<'py>) -> PyResult<Vec<LinkRow<'py>>> {
        if self.desk.is_inherited() {
            return Ok(vec![]);
        }
        let _as_far_as_it_has_come = confirming(py, |patience| self.desk.catch_up(patience))?;
        let row = |link: Arc<wire::Link>| {
            let onward = link.onward().map(|onward| python_address(py, onward)).transpose()?;
            let client = python_address(py, link.client)?;
            Ok((link.number, client, onward, link.since.as_secs_f64(), link.passed(), link.waiting(), link.inodes()))
        };
        self.desk.links().into_iter().map(row).collect()
    }

    /// What it did so far, oldest first, and how many older events are not kept.
    fn events(&self, py: Python<'_>) -> PyResult<(Vec<EventRow>, u64)> {
        if self.desk.is_inherited() {
            return Ok((vec![], 0));
        }
        let _as_far_as_it_has_come = confirming(py, |patience| self.desk.catch_up(patience))?;
        let (events, lost) = self.desk.events();
        let row = |event: wire::Event| {
            let (from, to) = event.what.range().unzip();
            let direction = event.direction.map(Direction::name);
            (event.at.as_secs_f64(), event.connection, direction, event.what.word(), from, to, event.what.to_string())
        };
        Ok((events.into_iter().map(row).collect(), lost))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.desk.is_inherited() || self.desk.is_over() {
            return;
        }
        let listener = self.listener.get();
        // The first word is the wire's: closed by this, its listener has nothing to say any more.
        warn_unclosed(&format!("Wire {}", listener.core.local_addr()), &listener.site);
        let _if_python_is_there = Python::try_attach(|py| {
            releasing(py, |patience| self.desk.stop(patience));
            // A Ctrl-C is not for this wait: what it raised here would reach nobody.
            let mut ended = Ok(());
            releasing(py, |patience| patience.released(&mut || ended = self.desk.join(END, &mut core::Uninterrupted)));
            if let Err(error) = ended {
                plainly(py)(error).write_unraisable(py, None);
            }
        });
    }
}
