//! The one place where an error of the core becomes a Python exception. errno survives: `OSError(code, text)` lets Python choose the subclass.

use pyo3::exceptions::{
    PyBlockingIOError, PyBufferError, PyException, PyMemoryError, PyNotImplementedError, PyOSError, PyOverflowError, PyRuntimeError,
    PyTimeoutError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{import_exception, intern};

use crate::core::{Error, address};

import_exception!(socket, gaierror);
import_exception!(socklens._errors, ClosedError);
import_exception!(socklens._errors, FrameTooLongError);
import_exception!(socklens._errors, IncompleteReadError);

#[cfg(unix)]
mod code {
    pub(super) use libc::{EAGAIN, EBADF, ETIMEDOUT};
}
#[cfg(windows)]
mod code {
    // The numbers that Python's errno module has there.
    pub(super) const EAGAIN: i32 = 11;
    pub(super) const EBADF: i32 = 9;
    pub(super) const ETIMEDOUT: i32 = windows_sys::Win32::Networking::WinSock::WSAETIMEDOUT;
}

/// The exception for an error; `raised` is what a signal handler raised while the call waited.
pub(super) fn raise(py: Python<'_>, error: Error, raised: Option<PyErr>) -> PyErr {
    match error {
        Error::Closed(text) => ClosedError::new_err((code::EBADF, text)),
        Error::WouldBlock(text) if text.is_empty() => PyBlockingIOError::new_err(()),
        Error::WouldBlock(text) => PyBlockingIOError::new_err((code::EAGAIN, text)),
        Error::TimedOut(text) => PyTimeoutError::new_err((code::ETIMEDOUT, text)),
        Error::Reentered(text) | Error::Driven(text) => PyRuntimeError::new_err(text),
        Error::Interrupted => raised.unwrap_or_else(|| PyOSError::new_err("interrupted")),
        Error::Os { code, message } => PyOSError::new_err((code, message)),
        Error::InUse { code, message, at, reuse_addr } => match held_by(py, at, reuse_addr) {
            Ok((words, holder)) => {
                let exception = made(py, PyOSError::new_err((code, message + &words)));
                if let Some(holder) = holder {
                    // For an explanation, which need not search again; without it, it does.
                    let _found_anew = exception.value(py).setattr(intern!(py, "_holder"), holder);
                }
                exception
            }
            Err(stopped) => stopped,
        },
        Error::Name { code, message } => gaierror::new_err((code, message)),
        Error::Incomplete { message, partial, expected } => {
            IncompleteReadError::new_err((message, PyBytes::new(py, &partial).unbind(), expected))
        }
        Error::TooLong { message, limit } => FrameTooLongError::new_err((message, limit)),
        Error::Range(text) => PyOverflowError::new_err(text),
        Error::Invalid(text) => PyValueError::new_err(text),
        Error::Held(text) => PyBufferError::new_err(text),
        Error::Memory(text) => PyMemoryError::new_err(text),
        Error::Unsupported(text) => PyNotImplementedError::new_err(text),
        Error::Partly { sent, cause } => {
            let exception = made(py, raise(py, *cause, raised));
            // A class that takes no attributes cannot tell how far it came; its message does.
            let _told_by_the_message = exception.value(py).setattr(intern!(py, "sent"), sent);
            exception
        }
    }
}

/// The same exception as an object. PyO3 makes the object when somebody asks for it, and lets go of the interpreter for that: in a thread that the
/// interpreter's end finds there, it would panic.
pub(super) fn made(py: Python<'_>, error: PyErr) -> PyErr {
    error.restore(py);
    PyErr::fetch(py)
}

/// The exception for an error of a call that does not wait.
pub(super) fn plainly(py: Python<'_>) -> impl FnOnce(Error) -> PyErr + '_ {
    move |error| raise(py, error, None)
}

/// Who holds the address, in words and as a row; nothing if that cannot be found out.
fn held_by(py: Python<'_>, at: std::net::SocketAddr, reuse_addr: Option<bool>) -> PyResult<(String, Option<Py<PyAny>>)> {
    if at.port() == 0 {
        // Any port would have done: nobody in particular is in the way.
        return Ok((String::new(), None));
    }
    let ask = || -> PyResult<(String, Option<Py<PyAny>>)> {
        let module = py.import("socklens._holders")?;
        module.call_method1("describe", (address::host(&at), at.port(), reuse_addr))?.extract()
    };
    match ask() {
        // The address is in use whether or not its holder has a name.
        Err(error) if error.is_instance_of::<PyException>(py) => Ok((String::new(), None)),
        answer => answer,
    }
}
