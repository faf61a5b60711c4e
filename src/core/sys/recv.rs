//! Reads that never sleep, even where another process has made the open file blocking: that flag is the file's, not the descriptor's (fcntl(2)).
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;

use socket2::Socket;

use super::{DONT_WAIT, PEEK};

/// recv(2): gives the part of `space` that was written.
pub(crate) fn recv<'m>(socket: &Socket, space: &'m mut [MaybeUninit<u8>]) -> io::Result<&'m [u8]> {
    let count = socket.recv_with_flags(space, DONT_WAIT)?;
    Ok(written(&space[..count]))
}

/// recv(2) with MSG_PEEK; as `recv`.
pub(crate) fn peek_into<'m>(socket: &Socket, space: &'m mut [MaybeUninit<u8>]) -> io::Result<&'m [u8]> {
    let count = socket.recv_with_flags(space, DONT_WAIT | PEEK)?;
    Ok(written(&space[..count]))
}

/// Private to this file: what the kernel has just filled.
fn written(space: &[MaybeUninit<u8>]) -> &[u8] {
    // SAFETY: both callers above pass the very bytes that the kernel reports to have written.
    unsafe { &*(std::ptr::from_ref(space) as *const [u8]) }
}

/// recv(2) into memory that holds something already.
pub(crate) fn read(socket: &Socket, space: &mut [u8]) -> io::Result<usize> {
    // SAFETY: initialised bytes may be seen as perhaps uninitialised ones; the kernel only writes bytes there.
    let space = unsafe { &mut *(std::ptr::from_mut(space) as *mut [MaybeUninit<u8>]) };
    recv(socket, space).map(<[u8]>::len)
}

/// The first `wanted` bytes of the queue, or as many as there are.
pub(crate) fn peek(socket: &Socket, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(wanted);
    let count = peek_into(socket, &mut bytes.spare_capacity_mut()[..wanted])?.len();
    // SAFETY: the kernel wrote the first `count` bytes of the spare capacity, and reports no more than it was given.
    unsafe { bytes.set_len(count) };
    Ok(bytes)
}
