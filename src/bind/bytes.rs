//! Python's bytes and buffers as Rust slices.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::core::{Error, Result};

/// A copy as a `bytes` object; unlike `PyBytes::new` it does not panic when there is no memory.
pub(super) fn copied<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyBytes>> {
    // SAFETY: `bytes` has `len` readable bytes, which the call copies.
    unsafe { made(py, bytes.as_ptr().cast(), bytes.len()) }
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
    // SAFETY: a null pointer asks for room alone. Nobody else knows the object before it is returned, so its bytes may be written.
    let object = unsafe { made(py, std::ptr::null(), size) }?;
    // SAFETY: see above; the object holds `size` bytes behind this pointer.
    let target = unsafe { std::slice::from_raw_parts_mut(pyo3::ffi::PyBytes_AsString(object.as_ptr()).cast::<MaybeUninit<u8>>(), size) };
    fill(target)?;
    Ok(object)
}

/// # Safety
/// `from` is null, or has `size` readable bytes.
unsafe fn made<'py>(py: Python<'py>, from: *const std::ffi::c_char, size: usize) -> Result<Bound<'py, PyBytes>> {
    let no_memory = || Error::Memory(format!("there is no memory for {size} bytes at once; take them in smaller pieces"));
    let length = isize::try_from(size).map_err(|_| no_memory())?;
    // SAFETY: by the caller's promise; `from_owned_ptr_or_opt` takes over the one reference to the new object.
    let object = unsafe { Bound::from_owned_ptr_or_opt(py, pyo3::ffi::PyBytes_FromStringAndSize(from, length)) };
    let Some(object) = object else {
        drop(PyErr::take(py));
        return Err(no_memory());
    };
    // SAFETY: the object is of type bytes by construction.
    Ok(unsafe { object.cast_into_unchecked::<PyBytes>() })
}

/// Calls `work` with the bytes of any object that has a contiguous buffer.
pub(super) fn reading<T>(doing: &str, data: &Bound<'_, PyAny>, work: impl FnOnce(&[u8]) -> PyResult<T>) -> PyResult<T> {
    let py = data.py();
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return work(bytes.as_bytes());
    }
    let buffer = contiguous(doing, data)?;
    let size = buffer.len_bytes();
    let result = if size == 0 {
        work(&[])
    } else {
        // SAFETY: the buffer is C-contiguous, and stays where it is until it is released below. If another thread writes to it meanwhile, the kernel
        // and the copy of the last bytes sent read some mixture, as with Python's own socket.
        work(unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), size) })
    };
    buffer.release(py);
    result
}

/// Calls `work` with the writable bytes of any object that has them.
pub(super) fn writing<T>(doing: &str, target: &Bound<'_, PyAny>, work: impl FnOnce(&mut [MaybeUninit<u8>]) -> PyResult<T>) -> PyResult<T> {
    let py = target.py();
    let buffer = contiguous(doing, target)?;
    if buffer.readonly() {
        let kind = target.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{doing} writes into its buffer, and {kind} is read-only; give a bytearray")));
    }
    let size = buffer.len_bytes();
    let result = if size == 0 {
        work(&mut [])
    } else {
        // SAFETY: contiguous, writable, and held by the buffer until it is released below; only the kernel writes through this slice.
        work(unsafe { std::slice::from_raw_parts_mut(buffer.buf_ptr().cast::<MaybeUninit<u8>>(), size) })
    };
    buffer.release(py);
    result
}

fn contiguous(doing: &str, object: &Bound<'_, PyAny>) -> PyResult<PyUntypedBuffer> {
    if object.is_instance_of::<PyString>() {
        let text = object.repr()?.to_string();
        let shown = if text.chars().count() > 40 { "text".to_owned() } else { text };
        return Err(PyTypeError::new_err(format!(
            "{doing} takes bytes, not str: a socket carries bytes, and text becomes bytes by an encoding. Write {shown}.encode()"
        )));
    }
    let Ok(buffer) = PyUntypedBuffer::get(object) else {
        let kind = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "{doing} takes bytes or another object with a buffer (bytearray, memoryview, array), not {kind}"
        )));
    };
    if !buffer.is_c_contiguous() {
        return Err(PyBufferError::new_err(format!(
            "{doing} takes a contiguous buffer, and this {} has gaps; send bytes(it), which copies it",
            object.get_type().name()?
        )));
    }
    Ok(buffer)
}
