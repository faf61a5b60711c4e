//! A connection that a server's reactor drives. The reactor alone reads it; what others send to it waits in Rust and goes out with the server's own
//! bytes, in order. Nothing here sleeps but a sender whose client has too much waiting.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Weak;

use parking_lot::MutexGuard;
use socket2::Socket;

use super::Connection;
use super::direction::{Guard, Writing};
use super::writing::rest;
use crate::core::error::{Error, Result};
use crate::core::record::Way;
use crate::core::sys::{self, Interest, SEND_FLAGS};
use crate::core::wait::{Stop, Wait};

/// The most that may wait for one client, in bytes. Behind it are the kernel's buffers of both ends, some 4 MB on Linux.
pub const WAITING_LIMIT: usize = 1 << 20;

/// Whoever drives connections, as they see it.
pub(in crate::core) trait Driver: Send + Sync + fmt::Debug {
    /// Bytes wait for the client with this key.
    fn has_waiting(&self, key: u32);
    /// Nothing more is to be sent to it after what waits.
    fn finishes(&self, key: u32, conn: &Connection);
    /// It is about to be closed; its socket is still open.
    fn leaves(&self, key: u32, socket: &Socket);
    /// Whether the calling thread is the driver's own, which must not wait for itself.
    fn is_this_thread(&self) -> bool;
    /// What drives it, for a message.
    fn name(&self) -> String;
}

/// A connection's driver, and its key there. Weak: whoever keeps a connection does not keep the server that has ended.
#[derive(Debug)]
pub(in crate::core) struct Driven {
    driver: Weak<dyn Driver>,
    key: u32,
}

impl Driven {
    pub(super) fn leaves(&self, socket: &Socket) {
        if let Some(driver) = self.driver.upgrade() {
            driver.leaves(self.key, socket);
        }
    }

    pub(super) fn finishes(&self, conn: &Connection) {
        if let Some(driver) = self.driver.upgrade() {
            driver.finishes(self.key, conn);
        }
    }
}

impl Connection {
    /// Hands it to a driver, before anybody else knows it.
    pub(in crate::core) fn driven_by(mut self, driver: Weak<dyn Driver>, key: u32) -> Self {
        self.driven = Some(Driven { driver, key });
        self
    }

    /// Its driver; in a forked child nobody drives it.
    pub(super) fn driven(&self) -> Option<&Driven> {
        self.driven.as_ref().filter(|_| !self.gate.is_inherited())
    }

    /// Whether a server drives it, here or in the parent process, which will close it too.
    pub fn has_driver(&self) -> bool {
        self.driven.is_some()
    }

    /// # Errors
    /// [`Error::Driven`].
    #[inline]
    pub(super) fn not_driven(&self, doing: &str) -> Result<()> {
        self.driven().map_or(Ok(()), |driven| Err(self.is_read_by(driven, doing)))
    }

    #[cold]
    fn is_read_by(&self, driven: &Driven, doing: &str) -> Error {
        Error::Driven(format!(
            "{doing}: {} reads {self}; look at its input_buffer, or write a handler of your own to read it",
            driven.driver.upgrade().map_or_else(|| "a server".to_owned(), |driver| driver.name())
        ))
    }

    /// One read. `use_up` gets all the bytes that are here, oldest first, and tells how many it has used; the rest stays in the input buffer.
    /// It is called with the lock of the input held: it must only copy, or send without waiting. Tells how many bytes were read; 0 is the end of
    /// the stream.
    pub(in crate::core) fn take_in(&self, space: &mut [u8], use_up: &mut dyn FnMut(&[u8]) -> usize) -> io::Result<usize> {
        let inside = self.gate.enter().ok_or(ErrorKind::NotConnected)?;
        let mut state = self.input.lock();
        let held = state.memory.len();
        // What is held is most often part of a line, and moving it to the front of the space is cheaper than moving all the rest behind it.
        let in_front = held <= space.len() / 2;
        let start = if in_front { held } else { 0 };
        space[..start].copy_from_slice(&state.memory.as_slice()[..start]);
        let count = match sys::read(&inside, &mut space[start..]) {
            Ok(0) => return self.broken().map_or(Ok(0), Err),
            Ok(count) => count,
            Err(error) => {
                self.remember(&error);
                return Err(error);
            }
        };
        state.received += count as u64;
        // Before what is answered: `use_up` may send, and which of these bytes it uses is known only after that.
        self.tell_of_server("server recv", Way::In, state.position() + held as i64, &space[start..start + count]);
        let used = if in_front {
            let bytes = &space[..held + count];
            let used = use_up(bytes).min(bytes.len());
            state.memory.consume(held);
            state.memory.append(&bytes[used..])?;
            used
        } else {
            state.memory.append(&space[..count])?;
            let used = use_up(state.memory.as_slice());
            state.memory.consume(used);
            used
        };
        state.memory.give_back();
        state.read += used as u64;
        Ok(count)
    }

    /// As [`take_in`](Self::take_in), with what is here already.
    pub(in crate::core) fn take_up(&self, use_up: &mut dyn FnMut(&[u8]) -> usize) {
        let mut state = self.input.lock();
        let used = use_up(state.memory.as_slice());
        state.memory.consume(used);
        state.memory.give_back();
        state.read += used as u64;
    }

    /// What the stream ended with: bytes that were not used.
    pub(in crate::core) fn take_rest(&self, use_up: impl FnOnce(&[u8])) {
        let mut state = self.input.lock();
        let count = state.memory.len();
        use_up(state.memory.as_slice());
        state.memory.consume(count);
        state.memory.give_back();
        state.read += count as u64;
    }

    /// Hands bytes to the kernel, behind what waits; what it does not take waits. Tells how many bytes wait now.
    pub(in crate::core) fn reply(&self, bytes: &[u8]) -> io::Result<usize> {
        let inside = self.gate.enter().ok_or(ErrorKind::NotConnected)?;
        let mut state = self.output.lock();
        if !state.waiting().is_empty() || state.is_taken() {
            add(&mut state, bytes)?;
            self.flush_locked(&inside, &mut state)?;
            return Ok(state.waits());
        }
        let count = self.offer(&inside, bytes)?;
        let before = state.sent;
        state.sent += count as u64;
        state.let_wait(&bytes[count..])?;
        drop(state);
        self.tell_of_server("server send", Way::Out, before as i64, &bytes[..count]);
        Ok(bytes.len() - count)
    }

    /// Lets bytes wait until the client's turn is over.
    pub(in crate::core) fn let_wait(&self, bytes: &[u8]) -> io::Result<()> {
        add(&mut self.output.lock(), bytes)
    }

    /// Lets bytes wait, or with `now` offers them to the kernel at once. `None` if too much waits already: nothing was added then.
    pub(in crate::core) fn post(&self, bytes: &[u8], now: bool) -> io::Result<Option<usize>> {
        let inside = self.gate.enter().ok_or(ErrorKind::NotConnected)?;
        let mut state = self.output.lock();
        if state.waits() + bytes.len() > WAITING_LIMIT {
            self.flush_locked(&inside, &mut state)?;
            if state.waits() >= WAITING_LIMIT {
                return Ok(None);
            }
        }
        add(&mut state, bytes)?;
        if now {
            self.flush_locked(&inside, &mut state)?;
        }
        Ok(Some(state.waits()))
    }

    /// The message of somebody who had to wait in the middle of it is complete: what came meanwhile follows.
    pub(super) fn let_follow(&self, driven: &Driven, state: &mut Writing) {
        if state.let_follow() {
            if let Some(driver) = driven.driver.upgrade() {
                driver.has_waiting(driven.key);
            }
        }
    }

    /// Sleeps until the kernel may take more of what waits.
    pub(in crate::core) fn wait_writable(&self, wait: &mut Wait<'_>) -> std::result::Result<(), Stop> {
        let inside = self.gate.enter().ok_or(Stop::Closed)?;
        self.gate.wait(&inside, Interest::Write, wait, None, &mut || false)
    }

    /// Bytes that the peer has not acknowledged, in Rust and in the kernel as far as the system tells.
    pub(in crate::core) fn unsent(&self) -> usize {
        let in_kernel = self.gate.enter().and_then(|inside| sys::send_queue(&inside).ok().flatten()).unwrap_or(0);
        self.waiting() + in_kernel
    }

    /// Bytes that the peer has acknowledged so far, where the system tells; else those that the kernel has taken.
    pub(in crate::core) fn acknowledged(&self) -> u64 {
        let outstanding = self.gate.enter().and_then(|inside| sys::send_queue(&inside).ok().flatten()).unwrap_or(0);
        self.output.lock().sent.saturating_sub(outstanding as u64)
    }

    /// Offers the kernel what waits. Tells how many bytes still do.
    pub(in crate::core) fn flush(&self) -> io::Result<usize> {
        let inside = self.gate.enter().ok_or(ErrorKind::NotConnected)?;
        self.flush_locked(&inside, &mut self.output.lock())
    }

    /// How many bytes wait in Rust.
    pub(in crate::core) fn waiting(&self) -> usize {
        self.output.lock().waiting().len()
    }

    /// Before FIN: whether bytes wait that the kernel does not take yet, so that the driver has to send it after them.
    pub(super) fn finishes_later(&self, driven: &Driven) -> bool {
        let waits = self.flush().is_ok_and(|left| left > 0);
        if waits {
            driven.finishes(self);
        }
        waits
    }

    pub(super) fn flush_locked(&self, socket: &Socket, state: &mut Writing) -> io::Result<usize> {
        while !state.waiting().is_empty() {
            let count = self.offer(socket, state.waiting())?;
            if count == 0 {
                break;
            }
            self.tell_of_server("server send", Way::Out, state.sent as i64, &state.waiting()[..count]);
            state.taken(count);
        }
        Ok(state.waiting().len())
    }

    /// One non-blocking send; 0 if the kernel takes nothing now.
    fn offer(&self, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
        match socket.send_with_flags(bytes, SEND_FLAGS) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            Err(error) => {
                self.remember(&error);
                Err(error)
            }
            taken => taken,
        }
    }

    /// A send of somebody else's: the bytes wait behind the server's, as far as they may.
    #[allow(clippy::too_many_arguments, reason = "as its twin for connections that nobody drives, and the driver")]
    pub(super) fn leave_to(
        &self,
        driven: &Driven,
        doing: &'static str,
        parts: [&[u8]; 2],
        wait: &mut Wait<'_>,
        state: &mut Guard<'_, Writing>,
        all: bool,
        sent: &mut usize,
    ) -> Result<()> {
        let inside = self.enter(doing)?;
        // A server that has ended has closed its clients.
        let driver = driven.driver.upgrade().ok_or_else(|| self.closed(doing))?;
        let total = parts[0].len() + parts[1].len();
        loop {
            self.unbroken(doing)?;
            let [first, second] = rest(parts, *sent);
            let here = driver.is_this_thread();
            // The reactor's own thread lets it wait: more may come in this turn, and all of it goes out at once.
            if !here || state.waiting().len() + first.len() + second.len() > WAITING_LIMIT {
                self.flush_locked(&inside, state).map_err(|error| self.failed(doing, error))?;
            }
            let room = WAITING_LIMIT.saturating_sub(state.waiting().len());
            let first = &first[..first.len().min(room)];
            let second = &second[..second.len().min(room - first.len())];
            state.let_wait(first).and_then(|()| state.let_wait(second)).map_err(|error| self.failed(doing, error))?;
            *sent += first.len() + second.len();
            let left = if here { 1 } else { self.flush_locked(&inside, state).map_err(|error| self.failed(doing, error))? };
            if left > 0 {
                driver.has_waiting(driven.key);
            }
            if *sent == total || (*sent > 0 && !all) {
                return Ok(());
            }
            if left == 0 || (here && room > 0) {
                continue;
            }
            if here {
                return Err(Error::WouldBlock(format!(
                    "{doing}: {WAITING_LIMIT} bytes wait for {self} already, whose peer does not read, and a server does not wait for one client"
                )));
            }
            state.take_turn();
            MutexGuard::unlocked(state, || self.gate.wait(&inside, Interest::Write, wait, None, &mut || false))
                .map_err(|stop: Stop| self.stopped(doing, stop, wait))?;
        }
    }
}

/// Adds bytes behind what waits; behind the message too that somebody is in the middle of, who waits for room.
fn add(state: &mut Guard<'_, Writing>, bytes: &[u8]) -> io::Result<()> {
    if state.is_taken() { state.let_wait_behind(bytes) } else { state.let_wait(bytes) }
}
