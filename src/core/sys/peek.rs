//! A look into the kernel's receive queue.
#![allow(unsafe_code)]

use std::io;

use socket2::Socket;

/// The first `wanted` bytes of the queue, or as many as there are (MSG_PEEK).
pub(crate) fn peek(socket: &Socket, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(wanted);
    let count = socket.peek(&mut bytes.spare_capacity_mut()[..wanted])?;
    // SAFETY: the kernel wrote the first `count` bytes of the spare capacity, and reports no more than it was given.
    unsafe { bytes.set_len(count) };
    Ok(bytes)
}
