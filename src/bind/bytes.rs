//! Python's bytes and buffers as Rust slices.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::core::{Error, Result};

/// A copy as a `bytes` object, or nothing if there is no memory for it.
#[inline]
pub(super) fn copied_if_it_can_be<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyBytes>> {
    // SAFETY: `bytes` has `len` readable bytes, which the call copies; no slice is longer than an isize can tell.
    unsafe { made(py, bytes.as_ptr().cast(), bytes.len() as isize) }
}

/// A copy as a `bytes` object; unlike `PyBytes::new` it does not panic when there is no memory.
pub(super) fn copied<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyBytes>> {
    copied_if_it_can_be(py, bytes).ok_or_else(|| no_memory(bytes.len()))
}

/// A copy of memory that a read has written.
pub(super) fn written<'py>(py: Python<'py>, bytes: &[MaybeUninit<u8>]) -> Result<Bound<'py, PyBytes>> {
    filled(py, bytes.len(), |target| {
        target.copy_from_slice(bytes);
        Ok(())
    })
}

/// A `bytes` object of `size` bytes, all of which `fill` writes when it succeeds.
pub(super) fn filled<'py>(
    py: Python<'py>,
    size: usize,
    fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<()>,
) -> Result<Bound<'py, PyBytes>> {
    let length = isize::try_from(size).map_err(|_| no_memory(size))?;
    // SAFETY: a null pointer asks for room alone. Nobody else knows the object before it is returned, so its bytes may be written.
    let object = unsafe { made(py, std::ptr::null(), length) }.ok_or_else(|| no_memory(size))?;
    // SAFETY: see above; the object holds `size` bytes behind this pointer.
    let target = unsafe { std::slice::from_raw_parts_mut(ffi::PyBytes_AsString(object.as_ptr()).cast::<MaybeUninit<u8>>(), size) };
    fill(target)?;
    Ok(object)
}

/// # Safety
/// `from` is null, or has `size` readable bytes; `size` is not negative.
#[inline]
unsafe fn made<'py>(py: Python<'py>, from: *const std::ffi::c_char, size: isize) -> Option<Bound<'py, PyBytes>> {
    // SAFETY: by the caller's promise; `from_owned_ptr_or_opt` takes over the one reference to the new object.
    let object = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyBytes_FromStringAndSize(from, size)) };
    if object.is_none() {
        drop(PyErr::take(py));
    }
    // SAFETY: the object is of type bytes by construction.
    object.map(|object| unsafe { object.cast_into_unchecked::<PyBytes>() })
}

#[cold]
fn no_memory(size: usize) -> Error {
    Error::Memory(format!("there is no memory for {size} bytes at once; take them in smaller pieces"))
}

/// Calls `work` with the bytes of any object that has a contiguous buffer.
#[inline(always)]
pub(super) fn reading<T>(doing: &str, data: &Bound<'_, PyAny>, work: impl FnOnce(&[u8]) -> PyResult<T>) -> PyResult<T> {
    match plain(data) {
        Some(bytes) => work(bytes),
        None => reading_buffer(doing, data, work),
    }
}

/// The bytes of an object that is `bytes` and nothing else, the common case. By its exact type, which costs no call, where a cast asks for
/// the type's flags.
#[inline(always)]
fn plain<'a>(data: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    // SAFETY: just checked.
    data.is_exact_instance_of::<PyBytes>().then(|| unsafe { data.cast_unchecked::<PyBytes>() }.as_bytes())
}

#[inline(never)]
fn reading_buffer<T>(doing: &str, data: &Bound<'_, PyAny>, work: impl FnOnce(&[u8]) -> PyResult<T>) -> PyResult<T> {
    if data.is_instance_of::<PyString>() {
        let text = data.repr()?.to_string();
        let shown = if text.chars().count() > 40 { "text".to_owned() } else { text };
        return Err(PyTypeError::new_err(format!(
            "{doing} takes bytes, not str: a socket carries bytes, and text becomes bytes by an encoding. Write {shown}.encode()"
        )));
    }
    let buffer = match Buffer::get(data, ffi::PyBUF_SIMPLE) {
        Ok(buffer) => buffer,
        Err(Refusal::NoBuffer) => {
            let kind = data.get_type().name()?;
            let message = format!("{doing} takes bytes or another object with a buffer (bytearray, memoryview, array), not {kind}");
            return Err(PyTypeError::new_err(message));
        }
        Err(Refusal::NotSo) => return Err(gaps(doing, data, "give bytes(it), which is a copy without them")),
    };
    let (at, size) = buffer.place();
    if size == 0 {
        return work(&[]);
    }
    // SAFETY: a simple buffer is contiguous, and stays where it is until it is dropped. If another thread writes to it meanwhile, the kernel and
    // the copy of the last bytes sent read some mixture, as with Python's own socket.
    work(unsafe { std::slice::from_raw_parts(at.cast::<u8>(), size) })
}

/// Calls `work` with the writable bytes of any object that has them.
pub(super) fn writing<T>(doing: &str, target: &Bound<'_, PyAny>, work: impl FnOnce(&mut [MaybeUninit<u8>]) -> PyResult<T>) -> PyResult<T> {
    let buffer = match Buffer::get(target, ffi::PyBUF_WRITABLE) {
        Ok(buffer) => buffer,
        Err(Refusal::NotSo) if Buffer::get(target, ffi::PyBUF_SIMPLE).is_err() => {
            return Err(gaps(doing, target, "give one without, such as a bytearray"));
        }
        Err(refusal) => {
            let kind = target.get_type().name()?;
            let why = if matches!(refusal, Refusal::NotSo) { "is read-only" } else { "has none" };
            return Err(PyTypeError::new_err(format!("{doing} writes into a buffer, and {kind} {why}; give a bytearray")));
        }
    };
    let (at, size) = buffer.place();
    if size == 0 {
        return work(&mut []);
    }
    // SAFETY: contiguous, writable, and held by `buffer`; only the kernel writes through this slice.
    work(unsafe { std::slice::from_raw_parts_mut(at.cast::<MaybeUninit<u8>>(), size) })
}

fn gaps(doing: &str, object: &Bound<'_, PyAny>, remedy: &str) -> PyErr {
    let kind = object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    PyBufferError::new_err(format!("{doing} takes a contiguous buffer, and this {kind} has gaps; {remedy}"))
}

/// A buffer of an object's, until it is dropped. Asked for by the plainest requests of the protocol, which every exporter answers; PyO3's own type
/// also wants a shape, which ctypes and arrays without dimensions do not give.
struct Buffer<'a, 'py> {
    /// Boxed: an exporter may let its fields point into the struct itself.
    raw: Box<ffi::Py_buffer>,
    /// It has to be given back with the interpreter held.
    _object: &'a Bound<'py, PyAny>,
}

enum Refusal {
    /// The object has no buffer at all.
    NoBuffer,
    /// It has none that is contiguous and, if asked for, writable.
    NotSo,
}

impl<'a, 'py> Buffer<'a, 'py> {
    fn get(object: &'a Bound<'py, PyAny>, flags: std::ffi::c_int) -> std::result::Result<Self, Refusal> {
        let mut raw = Box::new(ffi::Py_buffer::new());
        // SAFETY: `object` is alive, and `raw` is an empty struct for the call to fill in.
        let answer = unsafe {
            if ffi::PyObject_CheckBuffer(object.as_ptr()) == 0 {
                return Err(Refusal::NoBuffer);
            }
            ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *raw, flags)
        };
        if answer == 0 {
            return Ok(Self { raw, _object: object });
        }
        // Whatever exporters say, it is said better by the caller.
        drop(PyErr::take(object.py()));
        Err(Refusal::NotSo)
    }

    fn place(&self) -> (*mut std::ffi::c_void, usize) {
        (self.raw.buf, usize::try_from(self.raw.len).unwrap_or(0))
    }
}

impl Drop for Buffer<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: `raw` was filled in by PyObject_GetBuffer and is released once; `_object` shows that the interpreter is held.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.raw) };
    }
}
