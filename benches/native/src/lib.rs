//! What the two programs share: waiting, and leaving when the benchmark leaves. Nothing is served or measured here.

pub mod cpu;
pub mod source;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::exit;
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;

pub use rustix::event::epoll::EventFlags;

/// An epoll instance and the events of its last turn.
pub struct Poll {
    descriptor: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    /// Waits for up to 1024 events in a turn.
    ///
    /// # Errors
    /// As epoll_create(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self { descriptor: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(1024) })
    }

    /// Begins to watch a descriptor; closing it ends that.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add(&self, source: impl AsFd, token: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.descriptor, source, epoll::EventData::new_u64(token as u64), flags)?)
    }

    /// Watches for something else from now on.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn modify(&self, source: impl AsFd, token: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.descriptor, source, epoll::EventData::new_u64(token as u64), flags)?)
    }

    /// Sleeps until something can be done, and fills `turn` with the tokens for which it can.
    ///
    /// # Errors
    /// As epoll_wait(2), except that a signal only makes it sleep again.
    pub fn wait(&mut self, turn: &mut Vec<usize>) -> io::Result<()> {
        turn.clear();
        while turn.is_empty() {
            match epoll::wait(&self.descriptor, spare_capacity(&mut self.events), None) {
                Ok(_) => turn.extend(self.events.drain(..).map(|event| event.data.u64() as usize)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// Ends the program, cleanly, when standard input ends: it cannot outlive the benchmark that started it.
pub fn end_with_input() {
    thread::spawn(|| {
        let mut ignored = [0; 64];
        while io::stdin().read(&mut ignored).is_ok_and(|n| n > 0) {}
        exit(0);
    });
}

/// One line on standard output, at once.
///
/// # Errors
/// Where nobody reads it.
pub fn tell(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
