//! Where an object was made: the file and line of the program's own code that called, never one of this package's. Remembered for every
//! connection and listener, so it has to be cheap: no traceback is made, and words are found only when somebody asks.
#![allow(unsafe_code)]

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{ffi, intern};

/// A line of the program's Python code; unknown where none of it called, as in a server's own thread.
pub(super) struct Site {
    file: Option<Py<PyString>>,
    line: i32,
    /// The number that a notebook cell had then: IPython gives its code's name the latest number whenever the same text is run again.
    cell: Option<u32>,
}

impl Site {
    /// The line that is being run, `outer` frames further out, and further still where that is in this package.
    pub(super) fn here(py: Python<'_>, outer: usize) -> Self {
        Self::look(py, outer).unwrap_or(Self { file: None, line: 0, cell: None })
    }

    fn look(py: Python<'_>, outer: usize) -> Option<Self> {
        // SAFETY: the thread is attached, so it has a state; the call gives a new reference to its innermost Python frame, or null.
        let mut frame = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyThreadState_GetFrame(ffi::PyThreadState_Get()).cast()) }?;
        for _ in 0..outer {
            frame = back(&frame)?;
        }
        if is_of(&frame, &["socklens"]) {
            while is_of(&frame, &["socklens"]) {
                frame = back(&frame)?;
            }
            // A thread or a task that this package has begun: nobody's line is behind it.
            if is_of(&frame, &["threading", "asyncio", "concurrent"]) {
                return None;
            }
        }
        // SAFETY: `frame` is a frame object; a frame always has a code object, of which this is a new reference.
        let code = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyFrame_GetCode(frame.as_ptr().cast()).cast::<ffi::PyObject>()) }?;
        let file = code.getattr(intern!(py, "co_filename")).ok()?.cast_into::<PyString>().ok()?;
        // SAFETY: `frame` is a frame object.
        let line = unsafe { ffi::PyFrame_GetLineNumber(frame.as_ptr().cast()) };
        // What IPython calls the code of a cell, in a notebook and in a terminal.
        let name = file.to_str().ok()?;
        let cell = if name.contains("ipykernel") || name.starts_with("<ipython") { cell_number(&file).ok().flatten() } else { None };
        Some(Self { file: Some(file.unbind()), line, cell })
    }

    /// Whether it is known.
    pub(super) fn is_known(&self) -> bool {
        self.file.is_some()
    }

    /// The same place.
    pub(super) fn again(&self, py: Python<'_>) -> Self {
        Self { file: self.file.as_ref().map(|file| file.clone_ref(py)), line: self.line, cell: self.cell }
    }

    /// File, line and cell, for who finds the words later; `None` if it is not known.
    pub(super) fn parts(&self, py: Python<'_>) -> Option<(Py<PyString>, i32, Option<u32>)> {
        self.file.as_ref().map(|file| (file.clone_ref(py), self.line, self.cell))
    }

    /// In words: "chat.py, line 12", or the notebook cell.
    pub(super) fn describe(&self, py: Python<'_>) -> PyResult<String> {
        let Some(file) = &self.file else { return Ok("somewhere outside the program's Python code".into()) };
        py.import("socklens._cells")?.call_method1("describe", (file, self.line, self.cell))?.extract()
    }
}

fn back<'py>(frame: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    frame.getattr(intern!(frame.py(), "f_back")).ok().filter(|back| !back.is_none())
}

/// Whether the frame runs code of one of these packages.
fn is_of(frame: &Bound<'_, PyAny>, packages: &[&str]) -> bool {
    let py = frame.py();
    let name = || frame.getattr(intern!(py, "f_globals")).ok()?.cast_into::<PyDict>().ok()?.get_item(intern!(py, "__name__")).ok()?;
    let Some(Ok(name)) = name().map(Bound::cast_into::<PyString>) else { return false };
    name.to_str().is_ok_and(|name| packages.contains(&name.split('.').next().unwrap_or_default()))
}

fn cell_number(file: &Bound<'_, PyString>) -> PyResult<Option<u32>> {
    file.py().import("socklens._cells")?.call_method1("number", (file,))?.extract()
}

/// Where an object was closed; empty until then, and where no Python code did it.
#[derive(Default)]
pub(super) struct Closing(OnceLock<Box<Site>>);

impl Closing {
    /// Remembers the line that is being run, the first time; `closed` says whether it is too late for that.
    pub(super) fn here(&self, py: Python<'_>, closed: bool) {
        if closed {
            return;
        }
        let site = Site::here(py, 0);
        if site.is_known() {
            let _the_first_counts = self.0.set(Box::new(site));
        }
    }

    /// In words.
    pub(super) fn describe(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.0.get().map(|site| site.describe(py)).transpose()
    }
}

/// Warns that an open object was dropped; called from its destructor.
pub(super) fn warn_unclosed(what: &str, site: &Site) {
    // During the interpreter's end nobody can be warned any more.
    let _too_late = Python::try_attach(|py| {
        // A destructor may run while an exception is on its way.
        let pending = PyErr::take(py);
        let made = site.describe(py).unwrap_or_else(|_| "a place that is not known any more".into());
        let text = format!("unclosed {what}, made in {made}; close it, or use it in a with statement");
        if let Err(error) = warn(py, &text) {
            // Where warnings are errors, this is the way that a destructor's error takes.
            error.write_unraisable(py, None);
        }
        if let Some(pending) = pending {
            pending.restore(py);
        }
    });
}

fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let category = py.get_type::<pyo3::exceptions::PyResourceWarning>();
    let text = std::ffi::CString::new(text)?;
    PyErr::warn(py, &category, &text, 1)
}
