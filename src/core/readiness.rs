//! Waiting without a sleep: who waits in an event loop is told when a call is worth another try. Nothing here waits, and nothing here knows
//! what a loop is: it watches one descriptor, and asks what has happened when that becomes readable.
//!
//! The sockets lie in a selector of their own, not in the loop's: whoever closes one, in whatever thread, takes it out here first. In the loop's
//! own books its number would stay, and the next socket, which the kernel gives the same number, would inherit them and never be served.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;
use socket2::Socket;

use super::sys::{Event, Interest, Selector};

/// What somebody waits for in one direction of one socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaited {
    #[default]
    Nothing,
    /// That the kernel has something, or somebody else leaves something behind.
    Ready,
    /// That whoever has the direction's turn is done; until then the kernel need not be asked.
    Turn,
}

#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    read: Awaited,
    write: Awaited,
}

impl Waits {
    fn of(&mut self, interest: Interest) -> &mut Awaited {
        match interest {
            Interest::Read => &mut self.read,
            Interest::Write => &mut self.write,
        }
    }

    fn over(&self) -> bool {
        self.read == Awaited::Nothing && self.write == Awaited::Nothing
    }
}

/// Everything that one event loop waits for.
#[derive(Debug)]
pub struct Readiness {
    selector: Selector,
    keys: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waits: HashMap<u32, Waits>,
    /// What came from this program and not from the kernel.
    stirred: Vec<Event>,
}

/// A direction of a socket that is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stirred {
    /// Which socket.
    pub key: u32,
    /// Reading is.
    pub read: bool,
    /// Writing is.
    pub write: bool,
    /// The other direction is not, and has to be asked for again.
    pub again: bool,
}

impl Readiness {
    /// An empty set.
    ///
    /// # Errors
    /// The kernel's: too many open files.
    pub fn new() -> io::Result<Self> {
        Ok(Self { selector: Selector::new()?, keys: AtomicU32::new(0), state: Mutex::default() })
    }

    /// The descriptor to watch; it is readable when [`take`](Self::take) has something to tell. `None` where the system has no such thing.
    pub fn number(&self) -> Option<i64> {
        self.selector.number()
    }

    /// A key that was not there before.
    pub(super) fn new_key(&self) -> u32 {
        self.keys.fetch_add(1, Relaxed)
    }

    /// Asks for one event; `first` if the socket was never asked for. With `turn` it is the end of somebody's turn that is awaited.
    pub(super) fn ask(&self, socket: &Socket, key: u32, first: bool, interest: Interest, turn: bool) -> io::Result<()> {
        let mut state = self.state.lock();
        let waits = state.waits.entry(key).or_default();
        let wait = waits.of(interest);
        if *wait != Awaited::Ready {
            *wait = if turn { Awaited::Turn } else { Awaited::Ready };
        }
        let wanted = *wait == Awaited::Ready;
        let event = Event { key, read: waits.read == Awaited::Ready, write: waits.write == Awaited::Ready };
        // The first time although nothing may be wanted yet: the socket is in the set from now on.
        if first || wanted { self.selector.arm(socket, first, event) } else { Ok(()) }
    }

    /// Asks for one event that no socket has; somebody will [`stir`](Self::stir) the key.
    pub(super) fn expect(&self, key: u32, interest: Interest) {
        *self.state.lock().waits.entry(key).or_default().of(interest) = Awaited::Turn;
    }

    /// Tells those who wait for this direction that something has changed; with `turn` only those who wait for somebody's turn to end.
    pub(super) fn stir(&self, key: u32, interest: Interest, turn: bool) {
        let mut state = self.state.lock();
        let Some(waits) = state.waits.get_mut(&key) else { return };
        let wait = waits.of(interest);
        if *wait == Awaited::Nothing || (turn && *wait == Awaited::Ready) {
            return;
        }
        *wait = Awaited::Nothing;
        if waits.over() {
            state.waits.remove(&key);
        }
        let (read, write) = (interest == Interest::Read, interest == Interest::Write);
        state.stirred.push(Event { key, read, write });
        if state.stirred.len() == 1 {
            self.selector.pull();
        }
    }

    /// The socket is about to be closed, or given away.
    pub(super) fn end(&self, key: u32, socket: &Socket) {
        self.selector.forget(socket);
        self.stir(key, Interest::Read, false);
        self.stir(key, Interest::Write, false);
    }

    /// What has happened since the last call.
    ///
    /// # Errors
    /// The kernel's, which there is no reason for.
    pub fn take(&self) -> io::Result<Vec<Stirred>> {
        let mut events = Vec::new();
        self.selector.take(&mut events)?;
        let mut state = self.state.lock();
        let State { waits, stirred } = &mut *state;
        let mut all: Vec<_> = stirred.drain(..).map(|Event { key, read, write }| Stirred { key, read, write, again: false }).collect();
        for Event { key, read, write } in events {
            // Asked for, and then told by somebody else.
            let Some(left) = waits.get_mut(&key) else { continue };
            if read {
                left.read = Awaited::Nothing;
            }
            if write {
                left.write = Awaited::Nothing;
            }
            // An event disarms the whole socket.
            let again = left.read == Awaited::Ready || left.write == Awaited::Ready;
            if left.over() {
                waits.remove(&key);
            }
            all.push(Stirred { key, read, write, again });
        }
        Ok(all)
    }
}
