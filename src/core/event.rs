//! What is kept of one call: plain values, which say only what was observed.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use super::state::TcpState;

/// How many of a call's first bytes an event keeps.
pub const HEAD: usize = 32;

/// The first bytes that a call moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; HEAD],
    length: u8,
}

impl Head {
    /// No bytes.
    pub const EMPTY: Self = Self { bytes: [0; HEAD], length: 0 };

    /// The first of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut head = Self::default();
        head.push(bytes);
        head
    }

    /// Appends as much as there is room for.
    pub fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.length);
        let count = bytes.len().min(HEAD - start);
        self.bytes[start..start + count].copy_from_slice(&bytes[..count]);
        self.length += count as u8;
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Where bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the program into the stream to the peer.
    Out,
    /// From the stream to the program.
    In,
    /// From the program in front of its own input again.
    Back,
}

/// Bytes that a call moved, and their place in the stream of that way: how many had gone before. `at` is unknown on a socket that was adopted in
/// the middle of its life, where the system does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where they went.
    pub way: Way,
    /// The bytes that had gone before. Bytes that were put back count as not read, so that reading them again finds them at their place; with
    /// bytes that never came from the peer it may be below zero.
    pub at: Option<i64>,
    /// How many there were.
    pub count: u64,
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exception's class, or what the caller knows it by.
    pub kind: Cow<'static, str>,
    /// `errno`, where the kernel gave one.
    pub code: Option<i32>,
    /// The message.
    pub text: String,
}

/// One call, from its begin to its end. Times are nanoseconds since this process first recorded, on a monotonic clock.
#[derive(Clone, Debug)]
pub struct Event {
    /// The object: numbers are given in the order of birth and never again.
    pub socket: u32,
    /// The call, by its name in Python.
    pub call: Cow<'static, str>,
    /// When it began; `None` if that was before anybody recorded.
    pub began: Option<u64>,
    /// When it ended.
    pub ended: u64,
    /// The thread's name.
    pub thread: Arc<str>,
    /// The object's own endpoint, if it has one.
    pub local: Option<SocketAddr>,
    /// The other endpoint; of a listener, the client's that it accepted.
    pub peer: Option<SocketAddr>,
    /// The connection that an accept made.
    pub made: Option<u32>,
    /// The bytes that it moved.
    pub moved: Option<Moved>,
    /// The first of them.
    pub head: Head,
    /// Whether it met the end of the stream.
    pub end_seen: bool,
    /// Whether a close has to send RST, because bytes were left unread or because it is an abort.
    pub reset: bool,
    /// Why it failed.
    pub failure: Option<Box<Failure>>,
    /// The state before it, if that was looked at.
    pub before: Option<TcpState>,
    /// The state after it, if that was looked at.
    pub after: Option<TcpState>,
    /// Whether it is a call on a socket of Python's.
    pub foreign: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_takes_no_more_than_it_has_room_for() {
        let mut head = Head::default();
        head.push(&[1; HEAD - 1]);
        head.push(&[2; 5]);
        assert_eq!(head.as_slice().len(), HEAD);
        assert_eq!(head.as_slice()[HEAD - 1], 2);
    }
}
