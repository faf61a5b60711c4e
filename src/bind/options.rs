//! Values of socket options: from Python and to Python.

use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt};

use super::arguments::{Count, kind};
use super::bytes::reading;

/// The size of an option that is a number, in bytes: a C int.
pub(super) const NUMBER: usize = 4;

/// The number of an option, or of its level.
#[derive(Clone, Copy)]
pub(super) struct Number(pub(super) i32);

impl<'py> FromPyObject<'_, 'py> for Number {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let text = |given: String| format!("options and their levels are numbers of 32 bits, such as socket.SOL_SOCKET, not {given}");
        match value.extract::<i32>() {
            Ok(number) => Ok(Self(number)),
            Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => Err(PyOverflowError::new_err(text(kind(&value)?))),
            Err(_) => Err(PyTypeError::new_err(text(kind(&value)?))),
        }
    }
}

/// What getsockopt answers: a number, or the bytes where their count was given.
pub(super) fn option_value<'py>(py: Python<'py>, bytes: &[u8], buflen: usize) -> PyResult<Bound<'py, PyAny>> {
    if buflen > 0 {
        return Ok(PyBytes::new(py, bytes).into_any());
    }
    let number = match *bytes {
        [one] => i32::from(one),
        [a, b, c, d, ..] => i32::from_ne_bytes([a, b, c, d]),
        _ => return Err(PyValueError::new_err("getsockopt: this option is not a number; give buflen, the size of its value in bytes")),
    };
    Ok(number.into_pyobject(py)?.into_any())
}

/// The `buflen` of getsockopt, as Python's socket limits it.
pub(super) fn option_size(buflen: Count) -> PyResult<usize> {
    if buflen.0 > 1024 {
        return Err(PyValueError::new_err(format!("getsockopt: buflen is a number of bytes from 0 to 1024, not {}", buflen.0)));
    }
    buflen.at_least(0, "getsockopt", "buflen")
}

/// The bytes that setsockopt takes: a number's, or a buffer's.
pub(super) fn with_option<T>(value: &Bound<'_, PyAny>, set: impl FnOnce(&[u8]) -> PyResult<T>) -> PyResult<T> {
    if value.is_instance_of::<PyInt>() {
        let number: i32 = value
            .extract()
            .map_err(|_| PyOverflowError::new_err(format!("setsockopt: {value} does not fit into the 32 bits of an option's number")))?;
        return set(&number.to_ne_bytes());
    }
    reading("setsockopt", value, set).map_err(|error| {
        if !error.is_instance_of::<PyTypeError>(value.py()) {
            return error;
        }
        let shown = kind(value).unwrap_or_else(|_| "this".into());
        PyTypeError::new_err(format!("setsockopt: an option's value is an int or bytes, not {shown}"))
    })
}

/// True or False.
pub(super) fn switch(name: &str, on: &Bound<'_, PyAny>) -> PyResult<bool> {
    on.extract::<bool>().or_else(|_| match on.extract::<i64>() {
        // As Python's socket takes them.
        Ok(0) => Ok(false),
        Ok(1) => Ok(true),
        _ => Err(PyTypeError::new_err(format!("{name} is True or False, not {}", kind(on)?))),
    })
}

/// A linger time.
pub(super) fn linger_time(seconds: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let wrong = |given: String| format!("linger is a whole number of seconds from 0 to 65535, or None, not {given}");
    let number = if seconds.is_instance_of::<PyBool>() { None } else { seconds.extract::<f64>().ok() };
    match number {
        Some(number) if (0.0..=65535.0).contains(&number) && number.fract() == 0.0 => Ok(Duration::from_secs_f64(number)),
        Some(_) => Err(PyValueError::new_err(wrong(kind(seconds)?))),
        None => Err(PyTypeError::new_err(wrong(kind(seconds)?))),
    }
}
