//! The poller, in the terms of this room: which sockets the reactor, or a wire's relay, watches, and for what. Level-triggered where the system can be asked to be;
//! elsewhere each event is asked for anew.
#![allow(unsafe_code)]

use std::io;
use std::time::Duration;

use polling::{Event, Events, PollMode, Poller};
use socket2::Socket;

/// What a socket is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct For {
    pub(in crate::core) read: bool,
    pub(in crate::core) write: bool,
}

impl For {
    pub(in crate::core) const READ: Self = Self { read: true, write: false };
    pub(in crate::core) const NOTHING: Self = Self { read: false, write: false };

    fn event(self, key: usize) -> Event {
        Event::new(key, self.read, self.write)
    }
}

/// The sockets that are watched.
#[derive(Debug)]
pub(in crate::core) struct Watch {
    poller: Poller,
    mode: PollMode,
}

impl Watch {
    pub(in crate::core) fn new() -> io::Result<Self> {
        let poller = Poller::new()?;
        let mode = if poller.supports_level() { PollMode::Level } else { PollMode::Oneshot };
        Ok(Self { poller, mode })
    }

    /// Whether an event has to be asked for again once it was told.
    pub(in crate::core) fn tells_once(&self) -> bool {
        self.mode == PollMode::Oneshot
    }

    pub(in crate::core) fn add(&self, socket: &Socket, key: usize, interest: For) -> io::Result<()> {
        // SAFETY: whoever closes a watched socket calls `remove` before: `Driver::leaves` for listeners and a server's connections, the relay
        // for its own sockets.
        unsafe { self.poller.add_with_mode(socket, interest.event(key), self.mode) }
    }

    pub(in crate::core) fn change(&self, socket: &Socket, key: usize, interest: For) -> io::Result<()> {
        self.poller.modify_with_mode(socket, interest.event(key), self.mode)
    }

    pub(in crate::core) fn remove(&self, socket: &Socket) -> io::Result<()> {
        self.poller.delete(socket)
    }

    /// Waits until there is something to do, or somebody calls [`wake`](Self::wake).
    pub(in crate::core) fn wait(&self, events: &mut Events, at_most: Option<Duration>) -> io::Result<()> {
        events.clear();
        self.poller.wait(events, at_most).map(drop)
    }

    pub(in crate::core) fn wake(&self) -> io::Result<()> {
        self.poller.notify()
    }
}
