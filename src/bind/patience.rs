//! The one file that lets go of the interpreter, and the one that listens for Ctrl-C. A wait sleeps in slices and asks Python for pending
//! signals between them: EINTR alone misses `_thread.interrupt_main()`, and a signal that came just before the sleep.

use std::cell::Cell;
use std::time::Duration;

use pyo3::prelude::*;

use super::errors::raise;
use crate::core::wait::Interrupted;
use crate::core::{Error, Patience, Result, Timeout, Wait};

/// A Ctrl-C ends a wait after this long at the most (measured in Jupyter: 10 ms in the middle, 107 ms at the most).
const SLICE: Duration = Duration::from_millis(50);

const NOT_AT_ALL: Timeout = Timeout::After(Duration::ZERO);

struct Releasing<'py> {
    py: Python<'py>,
    raised: Option<PyErr>,
}

impl Patience for Releasing<'_> {
    fn slice(&self) -> Option<Duration> {
        // Python runs signal handlers in its main thread alone; any other thread is woken by close().
        on_main_thread(self.py).then_some(SLICE)
    }

    fn released(&mut self, work: &mut (dyn FnMut() + Send)) {
        self.py.detach(work);
    }

    fn check(&mut self) -> std::result::Result<(), Interrupted> {
        self.py.check_signals().map_err(|error| {
            self.raised = Some(error);
            Interrupted
        })
    }
}

thread_local! {
    static SERVES_IN_TASKS: Cell<bool> = const { Cell::new(false) };
}

/// Says that this thread runs the event loop of a server: a call that waits there would keep all its clients waiting, and is refused.
#[pyfunction]
#[pyo3(name = "_serve_in_tasks")]
pub(super) fn serve_in_tasks() {
    SERVES_IN_TASKS.set(true);
}

/// Calls the core with leave to wait, and raises what went wrong.
pub(super) fn waiting<T>(py: Python<'_>, timeout: Timeout, call: impl FnOnce(&mut Wait<'_>) -> Result<T>) -> PyResult<T> {
    let refused = SERVES_IN_TASKS.get() && timeout != NOT_AT_ALL && matches!(timeout, Timeout::Forever | Timeout::After(_));
    let mut patience = Releasing { py, raised: None };
    let result = call(&mut Wait::new(if refused { NOT_AT_ALL } else { timeout }, &mut patience));
    let result = if refused { result.map_err(in_a_task) } else { result };
    result.map_err(|error| raise(py, error, patience.raised))
}

/// The error of a call that would have had to wait.
#[cold]
fn in_a_task(error: Error) -> Error {
    match error {
        Error::WouldBlock(text) => Error::Driven(format!(
            "{}; nothing was lost. To wait here would keep every client of this server waiting, since all of them share this event loop: write await conn.aio.recv() \
             instead of conn.recv(), and so with every call that waits",
            text.split(", and its timeout").next().unwrap_or(&text)
        )),
        Error::Partly { sent, cause } => Error::Partly { sent, cause: Box::new(in_a_task(*cause)) },
        other => other,
    }
}

/// Calls the core with something that ends by itself but may take a moment, such as a close that waits for others to leave.
pub(super) fn releasing<T>(py: Python<'_>, call: impl FnOnce(&mut dyn Patience) -> T) -> T {
    call(&mut Releasing { py, raised: None })
}

/// Calls the core with something that should end within moments, but which a signal may end before: another thread's word is awaited. No client waits
/// for long because of that, so a server's event loop may do it.
pub(super) fn confirming<T>(py: Python<'_>, call: impl FnOnce(&mut dyn Patience) -> Result<T>) -> PyResult<T> {
    let mut patience = Releasing { py, raised: None };
    let result = call(&mut patience);
    result.map_err(|error| raise(py, error, patience.raised))
}

/// Runs a server's loop on this thread, which keeps the interpreter but while the loop waits.
pub(super) fn serving(py: Python<'_>, run: impl FnOnce(&mut dyn Patience)) {
    run(&mut Serving { py });
}

/// Signals are the main thread's matter; a loop that is run there is ended by `stop`.
struct Serving<'py> {
    py: Python<'py>,
}

impl Patience for Serving<'_> {
    fn slice(&self) -> Option<Duration> {
        None
    }

    fn released(&mut self, work: &mut (dyn FnMut() + Send)) {
        self.py.detach(work);
    }

    fn check(&mut self) -> std::result::Result<(), Interrupted> {
        Ok(())
    }
}

/// Calls the core with something that may read a large table of the kernel's, while others run.
pub(super) fn unhurried<T: Send>(py: Python<'_>, call: impl Fn() -> Result<T> + Send + Sync) -> PyResult<T> {
    py.detach(&call).map_err(|error| raise(py, error, None))
}

/// Whether this is the thread in which Python runs signal handlers. After a fork that is the thread that forked.
fn on_main_thread(py: Python<'_>) -> bool {
    thread_local! {
        static KNOWN: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
    }
    let process = crate::core::generation();
    if let Some((known_in, answer)) = KNOWN.get() {
        if known_in == process {
            return answer;
        }
    }
    let ask = || -> PyResult<bool> {
        let threading = py.import("threading")?;
        let main = threading.call_method0("main_thread")?.getattr("ident")?;
        threading.call_method0("get_ident")?.eq(main)
    };
    // Late in the interpreter's life `threading` may be gone; waking up for nothing is the harmless mistake.
    let answer = ask().unwrap_or(true);
    KNOWN.set(Some((process, answer)));
    answer
}
