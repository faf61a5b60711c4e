//! The operating system, chosen once. Every backend offers the functions listed here, with the same contract; a value that a
//! platform cannot know is `None`. This is the only room that makes raw system calls.
//!
//! - `accept(&Socket)`: the next client, close-on-exec and non-blocking, with its address.
//! - `recv_queue(&Socket)`: bytes that the kernel holds for the reader. `send_queue`: bytes it has taken and not had acknowledged,
//!   without a FIN that is counted among them on some systems. `send_queue_unsent`: how many of those were not sent at all yet.
//! - `accept_queue(&Socket)`: (connections waiting, limit) of a listener.
//! - `Selector`: many sockets behind one descriptor, whose `number` an event loop can watch (`None`: it cannot). `arm` asks for one event of a
//!   socket (`first`: it is not in the set yet), `take` collects without waiting what has happened, `pull`, from any thread, makes the
//!   descriptor ready, and `forget` comes before the socket is closed.
//! - `inode(&Socket)`: the number by which the kernel's table of sockets has it.
//! - `tcp_info(&Socket)`: all that the kernel tells of a connection; `tcp_state`: its state alone.
//! - `reset(&Socket)`: to be closed next, with RST. Linux sends it in this call; elsewhere it leaves when the socket's last descriptor is closed.
//! - `getsockopt`, `setsockopt`: options by number, as bytes.

#[cfg(any(target_os = "macos", target_os = "ios"))]
mod apple;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "ios", windows)))]
mod other;
#[cfg(all(unix, not(target_os = "linux")))]
mod pipe;
mod poll;
mod recv;
#[cfg(not(target_os = "linux"))]
mod selector;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(any(target_os = "macos", target_os = "ios"))]
pub(crate) use apple::*;
#[cfg(target_os = "linux")]
pub(crate) use epoll::Selector;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "ios", windows)))]
pub(crate) use other::*;
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) use pipe::*;
pub(crate) use poll::Interest;
pub(crate) use poll::{Polled, Waker, poll};
pub(crate) use recv::{peek, peek_into, read, recv};
#[cfg(not(target_os = "linux"))]
pub(crate) use selector::Selector;
#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

/// What a socket in a [`Selector`] is asked for, or is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Which socket.
    pub(crate) key: u32,
    /// As [`Interest::Read`].
    pub(crate) read: bool,
    /// As [`Interest::Write`].
    pub(crate) write: bool,
}
