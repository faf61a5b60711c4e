//! Arguments from Python, checked: each kind of bad value has its own sentence.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyString, PyTuple};

use super::errors::plainly;
use crate::core::framing::ByteOrder;
use crate::core::{Timeout, address};

/// A `timeout=` argument; left out, the object's own timeout holds.
#[derive(Clone, Copy)]
pub(super) struct TimeoutArg(Option<Timeout>);

impl TimeoutArg {
    pub(super) const OWN: Self = Self(None);

    pub(super) fn or(self, own: impl FnOnce() -> Timeout) -> Timeout {
        self.0.unwrap_or_else(own)
    }

    /// Whether the caller waits elsewhere, and may come again.
    pub(super) fn is_try(self) -> bool {
        self.0.is_some_and(Timeout::is_elsewhere)
    }
}

/// What the awaitable twins give as `timeout=`: one attempt, whose BlockingIOError says nothing; or, after so many seconds of waiting, the last.
#[pyclass(frozen, module = "socklens._socklens", name = "_Try")]
#[derive(Clone, Copy)]
pub(super) struct Try(Timeout);

#[pymethods]
impl Try {
    #[new]
    #[pyo3(signature = (waited=None))]
    fn new(waited: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self(waited.map(timeout).transpose()?.map_or(Timeout::Attempt, Timeout::over)))
    }
}

/// The seconds of a `timeout=`, checked as every call checks them.
#[pyfunction]
#[pyo3(name = "_seconds")]
pub(super) fn seconds(value: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    timeout(value).map(Timeout::as_secs)
}

impl<'py> FromPyObject<'_, 'py> for TimeoutArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyEllipsis>() {
            return Ok(Self::OWN);
        }
        match value.cast_exact::<Try>() {
            Ok(attempt) => Ok(Self(Some(attempt.get().0))),
            Err(_) => timeout(&value).map(|time| Self(Some(time))),
        }
    }
}

/// Seconds, or None for ever.
pub(super) fn timeout(value: &Bound<'_, PyAny>) -> PyResult<Timeout> {
    if value.is_none() {
        return Ok(Timeout::Forever);
    }
    let wrong = || -> PyResult<Timeout> {
        Err(PyTypeError::new_err(format!("a timeout is a number of seconds, or None to wait for ever, not {}", kind(value)?)))
    };
    if value.is_instance_of::<PyBool>() || value.is_instance_of::<PyString>() {
        return wrong();
    }
    match value.extract::<f64>() {
        Ok(seconds) => Timeout::from_secs(seconds).map_err(plainly(value.py())),
        // An int beyond what a float holds.
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            Timeout::from_secs(if value.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY }).map_err(plainly(value.py()))
        }
        Err(_) => wrong(),
    }
}

/// A number of bytes as it was given; checked where its name is known.
#[derive(Clone, Copy)]
pub(super) struct Count(pub(super) i64);

impl Count {
    /// As a size of at least `least`.
    #[inline]
    pub(super) fn at_least(self, least: i64, doing: &str, name: &str) -> PyResult<usize> {
        if self.0 >= least { Ok(usize::try_from(self.0).unwrap_or(usize::MAX)) } else { Err(self.too_small(least, doing, name)) }
    }

    #[cold]
    fn too_small(self, least: i64, doing: &str, name: &str) -> PyErr {
        let why = if self.0 == 0 { "; b\"\" would look as if the peer had finished" } else { "" };
        PyValueError::new_err(format!("{doing}: {name} is a number of bytes, {least} or more, not {}{why}", self.0))
    }
}

impl<'py> FromPyObject<'_, 'py> for Count {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyBool>() {
            return Err(PyTypeError::new_err(format!("a number of bytes is an int, not {}", kind(&value)?)));
        }
        match value.extract::<i64>() {
            Ok(number) => Ok(Self(number)),
            Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
                let shown = value.str()?;
                if value.lt(0)? {
                    return Err(PyValueError::new_err(format!("a number of bytes is not negative, as {shown} is")));
                }
                Err(PyOverflowError::new_err(format!("{shown} bytes are more than any machine has")))
            }
            Err(_) => Err(PyTypeError::new_err(format!("a number of bytes is an int, not {}", kind(&value)?))),
        }
    }
}

/// An endpoint: "host", "host:port", (host, port), an Address, with the port apart or not at all.
pub(super) fn endpoint(host: &Bound<'_, PyAny>, port: Option<&Bound<'_, PyAny>>) -> PyResult<(String, Option<u16>)> {
    let py = host.py();
    let apart = port.map(port_number).transpose()?;
    if let Ok(text) = host.cast::<PyString>() {
        let text = text.to_str()?;
        if text.is_empty() && apart.is_some() {
            return Ok((String::new(), apart));
        }
        let (name, inside) = address::split(text).map_err(plainly(py))?;
        return match (inside, apart) {
            (Some(one), Some(other)) => {
                Err(PyValueError::new_err(format!("two ports: {one} in {text:?}, and {other} beside it; give one")))
            }
            _ => Ok((name, inside.or(apart))),
        };
    }
    if let Ok(pair) = host.cast::<PyTuple>() {
        if apart.is_some() {
            return Err(PyValueError::new_err("two ports: the address has one already; give one"));
        }
        return from_tuple(pair);
    }
    if host.is_instance_of::<PyInt>() && apart.is_none() {
        return Err(PyTypeError::new_err(format!("the host comes first, as text: \"127.0.0.1\", port={host}")));
    }
    let hint = if host.hasattr("local_addr")? { "; to reach a listener, give its .local_addr" } else { "" };
    Err(PyTypeError::new_err(format!("an address is \"host:port\", (host, port) or a host and a port, not {}{hint}", kind(host)?)))
}

/// (host, port), or the four numbers that Python's socket has for IPv6.
fn from_tuple(pair: &Bound<'_, PyTuple>) -> PyResult<(String, Option<u16>)> {
    let wrong = || PyTypeError::new_err(format!("an address is a tuple (host, port), not {pair}"));
    let host = match pair.len() {
        2 | 4 => pair.get_item(0)?.cast_into::<PyString>().map_err(|_| wrong())?.to_string(),
        _ => return Err(wrong()),
    };
    let port = port_number(&pair.get_item(1)?)?;
    let mut scope = 0;
    if pair.len() == 4 {
        pair.get_item(2)?.extract::<u32>().map_err(|_| wrong())?;
        scope = pair.get_item(3)?.extract::<u32>().map_err(|_| wrong())?;
    }
    Ok((if scope == 0 || host.contains('%') { host } else { format!("{host}%{scope}") }, Some(port)))
}

fn port_number(value: &Bound<'_, PyAny>) -> PyResult<u16> {
    let py = value.py();
    let number = if value.is_instance_of::<PyBool>() { None } else { Some(value.extract::<i64>()) };
    match number {
        Some(Ok(number)) => address::port(number).map_err(plainly(py)),
        Some(Err(error)) if error.is_instance_of::<PyOverflowError>(py) => {
            Err(plainly(py)(address::no_such_port(&value.str()?.to_string())))
        }
        _ => {
            let digits = value.extract::<&str>().is_ok_and(|text| text.parse::<u16>().is_ok());
            let hint = if digits { "; write it without quotes" } else { "" };
            Err(PyTypeError::new_err(format!("a port is a whole number from 0 to 65535, not {}{hint}", kind(value)?)))
        }
    }
}

/// A value and its type, for a message: `'http' (str)`.
pub(super) fn kind(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if value.is_none() {
        return Ok("None".into());
    }
    let shown = value.repr()?.to_string();
    let name = value.get_type().name()?;
    Ok(if shown.chars().count() > 60 { name.to_string() } else { format!("{shown} ({name})") })
}

/// "big" or "little".
pub(super) fn byte_order(text: &str) -> PyResult<ByteOrder> {
    match text {
        "big" => Ok(ByteOrder::Big),
        "little" => Ok(ByteOrder::Little),
        _ => Err(PyValueError::new_err(format!("byteorder is \"big\" (network order) or \"little\", not {text:?}"))),
    }
}

/// A kernel buffer size to ask for.
pub(super) fn buffer_size(size: Option<Count>, name: &str) -> PyResult<Option<NonZeroU32>> {
    let Some(size) = size else { return Ok(None) };
    // The kernel takes a signed int.
    let fits = i32::try_from(size.0).ok().and_then(|size| u32::try_from(size).ok()).and_then(NonZeroU32::new);
    fits.map(Some).ok_or_else(|| PyValueError::new_err(format!("{name} is a number of bytes from 1 to {}, not {}", i32::MAX, size.0)))
}

/// A socket address as the package's `Address`.
pub(super) fn python_address<'py>(py: Python<'py>, addr: SocketAddr) -> PyResult<Bound<'py, PyAny>> {
    static ADDRESS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    named_tuple(ADDRESS.import(py, "socklens._address", "Address")?, &(address::host(&addr), addr.port()).into_pyobject(py)?)
}

/// An object of a tuple's subclass, made by `tuple.__new__` itself. To call the class would run Python code, and a daemon thread that is in the
/// middle of that when the interpreter ends is unwound through Rust frames, which aborts the process (seen on Python 3.11).
pub(super) fn named_tuple<'py>(class: &Bound<'py, PyAny>, fields: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    py.get_type::<PyTuple>().call_method1(intern!(py, "__new__"), (class, fields))
}
