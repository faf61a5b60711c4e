//! Linux: many sockets behind one descriptor (epoll(7)), which itself can be waited for.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::{Timespec, epoll};
use socket2::Socket;

use super::{Event, WakeHandle};

/// The key of the handle that another thread can pull.
const PULLED: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Selector {
    epoll: OwnedFd,
    handle: WakeHandle,
}

impl Selector {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let handle = WakeHandle::new()?;
        epoll::add(&epoll, &handle, epoll::EventData::new_u64(PULLED), epoll::EventFlags::IN)?;
        Ok(Self { epoll, handle })
    }

    pub(crate) fn number(&self) -> Option<i64> {
        Some(self.epoll.as_raw_fd().into())
    }

    pub(crate) fn arm(&self, socket: &Socket, first: bool, event: Event) -> io::Result<()> {
        let mut flags = epoll::EventFlags::ONESHOT;
        flags.set(epoll::EventFlags::IN, event.read);
        flags.set(epoll::EventFlags::OUT, event.write);
        let data = epoll::EventData::new_u64(event.key.into());
        let set = if first { epoll::add } else { epoll::modify };
        Ok(set(&self.epoll, socket, data, flags)?)
    }

    pub(crate) fn forget(&self, socket: &Socket) {
        let _never_armed = epoll::delete(&self.epoll, socket);
    }

    pub(crate) fn pull(&self) {
        self.handle.wake();
    }

    pub(crate) fn take(&self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); 64];
        // What does not fit is there for the next look.
        let (ready, _) = epoll::wait(&self.epoll, &mut space, Some(&Timespec::default()))?;
        for one in ready {
            let number = one.data.u64();
            let Ok(key) = u32::try_from(number) else {
                self.handle.drain();
                continue;
            };
            let flags = one.flags;
            // An error or an end is for both directions to find out.
            let over = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
            events.push(Event {
                key,
                read: over || flags.contains(epoll::EventFlags::IN),
                write: over || flags.contains(epoll::EventFlags::OUT),
            });
        }
        Ok(())
    }
}
