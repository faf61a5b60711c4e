//! What all Unix systems share: options by number, counting forks, and giving up an inherited socket.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use socket2::Socket;

static GENERATION: AtomicU32 = AtomicU32::new(0);
static COUNTING: Once = Once::new();

extern "C" fn forked() {
    GENERATION.fetch_add(1, Relaxed);
}

/// Starts to count forks; pthread_atfork(3) does it, so that asking costs no system call.
pub(crate) fn count_forks() {
    COUNTING.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec. Should there be no memory for it, forks go
        // uncounted, and a child works with its parent's locks.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    });
}

/// How many forks lie between this process and the one that started to count.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// What fstat(2) tells of a descriptor of this process; `None` if there is none with this number.
#[cfg(target_os = "linux")]
pub(super) fn status(number: i32) -> Option<libc::stat> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the memory is as large as the kernel writes; a number that is no descriptor is an error, EBADF.
    let failed = unsafe { libc::fstat(number, status.as_mut_ptr()) } != 0;
    // SAFETY: the call has succeeded, so all of it is written.
    (!failed).then(|| unsafe { status.assume_init() })
}

/// The socket, although others still hold references to it; they must never use it again.
pub(crate) fn take_over(shared: &Arc<Socket>) -> Socket {
    // One more reference that is never given back: the count cannot reach zero, so nobody else closes the descriptor.
    std::mem::forget(Arc::clone(shared));
    // SAFETY: the descriptor is open, and by the line above this is the only owner that will close it.
    unsafe { Socket::from_raw_fd(shared.as_raw_fd()) }
}

/// getsockopt(2): the option's bytes, at most `size` of them.
pub(crate) fn getsockopt(socket: &Socket, level: i32, option: i32, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; size];
    let mut length = libc::socklen_t::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `bytes` has `length` writable bytes, and the kernel writes no more.
    let answer = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, bytes.as_mut_ptr().cast(), &raw mut length) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    bytes.truncate(length as usize);
    Ok(bytes)
}

/// setsockopt(2).
pub(crate) fn setsockopt(socket: &Socket, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `value` has `length` readable bytes.
    let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// ioctl(2) with a question whose answer is one number.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux tells its queues by ioctl"))]
pub(crate) fn ask(socket: &Socket, question: libc::c_ulong) -> io::Result<usize> {
    let mut answer = MaybeUninit::<libc::c_int>::zeroed();
    // SAFETY: the questions asked in this room all write one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), question as _, answer.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed at first, and an int by now.
    let number = unsafe { answer.assume_init() };
    Ok(usize::try_from(number).unwrap_or(0))
}

/// Flags of recv(2): not to sleep, whatever the open file's own flag says; and to leave the bytes where they are.
pub(crate) const DONT_WAIT: i32 = libc::MSG_DONTWAIT;
pub(crate) const PEEK: i32 = libc::MSG_PEEK;
/// A peer that is gone is EPIPE, not the signal that would end the program (send(2)).
#[cfg(not(any(target_os = "macos", target_os = "ios")))]
pub(crate) const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
/// Python ignores SIGPIPE from its start; the socket is told as well (SO_NOSIGPIPE, set by socket2).
#[cfg(any(target_os = "macos", target_os = "ios"))]
pub(crate) const SEND_FLAGS: i32 = libc::MSG_DONTWAIT;

/// The error numbers of a descriptor that is not open, and of one that is no socket.
pub(crate) const NOT_OPEN: i32 = libc::EBADF;
pub(crate) const NO_SOCKET: i32 = libc::ENOTSOCK;

/// Makes accept(2), which has no flag for that, not sleep: whoever shares the open file may have made it blocking.
pub(crate) fn ensure_nonblocking(socket: &Socket) -> io::Result<()> {
    if socket.nonblocking()? { Ok(()) } else { socket.set_nonblocking(true) }
}

/// Whether an option's number is SO_ERROR's.
pub(crate) fn is_error_option(level: i32, option: i32) -> bool {
    (level, option) == (libc::SOL_SOCKET, libc::SO_ERROR)
}

/// Whether the socket listens (SO_ACCEPTCONN).
pub(crate) fn is_listener(socket: &Socket) -> io::Result<bool> {
    let bytes = getsockopt(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, 4)?;
    Ok(bytes.iter().any(|&byte| byte != 0))
}

/// Errors of accept(2) that are about the one client that was next, not about the listener.
pub(crate) fn is_about_the_client(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EINTR
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENOPROTOOPT
        )
    )
}

/// EMFILE or ENFILE.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// SO_RCVLOWAT (socket(7)).
pub(crate) fn set_low_water(socket: &Socket, count: usize) -> io::Result<()> {
    let count = libc::c_int::try_from(count).unwrap_or(libc::c_int::MAX);
    setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, &count.to_ne_bytes())
}
