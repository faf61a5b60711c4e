//! Systems other than Linux: many sockets behind one descriptor where there is such a thing (kqueue(2)), by the crate `polling`.
#![allow(unsafe_code)]

use std::io;
use std::time::Duration;

use polling::{Events, Poller};
use socket2::Socket;

use super::Event;

#[derive(Debug)]
pub(crate) struct Selector(Poller);

impl Selector {
    pub(crate) fn new() -> io::Result<Self> {
        Poller::new().map(Self)
    }

    pub(crate) fn number(&self) -> Option<i64> {
        #[cfg(unix)]
        return Some(std::os::fd::AsRawFd::as_raw_fd(&self.0).into());
        #[cfg(not(unix))]
        return None;
    }

    pub(crate) fn arm(&self, socket: &Socket, first: bool, event: Event) -> io::Result<()> {
        let event = polling::Event::new(event.key as usize, event.read, event.write);
        if first {
            // SAFETY: `forget` is called before the socket is closed, by the contract of this room.
            unsafe { self.0.add(socket, event) }
        } else {
            self.0.modify(socket, event)
        }
    }

    pub(crate) fn forget(&self, socket: &Socket) {
        let _never_armed = self.0.delete(socket);
    }

    pub(crate) fn pull(&self) {
        let _already_pulled = self.0.notify();
    }

    pub(crate) fn take(&self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut space = Events::new();
        self.0.wait(&mut space, Some(Duration::ZERO))?;
        events.extend(space.iter().map(|one| Event { key: one.key as u32, read: one.readable, write: one.writable }));
        Ok(())
    }
}
