//! One direction of a connection: its state behind a lock, and the turn of the one who waits there.

use std::thread::ThreadId;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::assembly::Assembly;
use crate::core::gate::Gate;
use crate::core::memory::{Memory, Tail};
use crate::core::sys;
use crate::core::wait::{Stop, Wait};

/// The reading direction's state.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) memory: Memory,
    pub(super) assembly: Option<Assembly>,
    pub(super) received: u64,
    pub(super) read: u64,
    pub(super) put_back: u64,
    turn: Option<Holder>,
}

/// The writing direction's state.
#[derive(Debug, Default)]
pub(super) struct Writing {
    pub(super) tail: Tail,
    pub(super) sent: u64,
    turn: Option<Holder>,
}

impl Reading {
    /// How many bytes lie in Rust: in memory, and in what a large read has gathered.
    pub(super) fn held(&self) -> usize {
        self.memory.len() + self.assembly.as_ref().map_or(0, |assembly| assembly.filled().len())
    }

    /// Whether somebody waits in this direction.
    #[inline]
    pub(super) fn is_taken(&self) -> bool {
        self.turn.is_some()
    }
}

/// Who has a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// The process, as [`sys::generation`] counts: after a fork the turn of a thread of the parent is nobody's.
    process: u32,
    thread: ThreadId,
}

impl Holder {
    fn current() -> Self {
        Self { process: sys::generation(), thread: std::thread::current().id() }
    }
}

/// A state with a turn in it.
pub(super) trait Turn {
    fn turn(&mut self) -> &mut Option<Holder>;
}

impl Turn for Reading {
    fn turn(&mut self) -> &mut Option<Holder> {
        &mut self.turn
    }
}

impl Turn for Writing {
    fn turn(&mut self) -> &mut Option<Holder> {
        &mut self.turn
    }
}

#[derive(Debug, Default)]
pub(super) struct Direction<S> {
    state: Mutex<S>,
    turn_is_free: Condvar,
}

impl<S: Turn + Send> Direction<S> {
    /// The state, for a copy or one non-blocking call.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock()
    }

    /// The state, once nobody waits in this direction.
    pub(super) fn lock_in_turn(&self, gate: &Gate, wait: &mut Wait<'_>) -> Result<MutexGuard<'_, S>, Stop> {
        loop {
            let mut state = self.state.lock();
            match *state.turn() {
                // A signal handler of Python's runs in the middle of this thread's own wait, which cannot end before the handler does.
                Some(holder) if holder == Holder::current() => return Err(Stop::Reentered),
                Some(holder) if holder.process == sys::generation() => {}
                _ => return Ok(state),
            }
            drop(state);
            if let Err(stop) = self.sleep(gate, wait) {
                // The wake-up that this one may have had is for the next in line.
                self.turn_is_free.notify_one();
                return Err(stop);
            }
        }
    }

    fn sleep(&self, gate: &Gate, wait: &mut Wait<'_>) -> Result<(), Stop> {
        if !gate.is_open() {
            return Err(Stop::Closed);
        }
        if wait.deadline.is_immediate() {
            return Err(Stop::WouldBlock);
        }
        let sleep = wait.next_sleep();
        if sleep.is_some_and(|time| time.is_zero()) {
            return Err(Stop::TimedOut);
        }
        wait.patience.released(&mut || {
            let mut state = self.state.lock();
            if state.turn().is_some() {
                match sleep {
                    Some(time) => {
                        self.turn_is_free.wait_for(&mut state, time);
                    }
                    None => self.turn_is_free.wait(&mut state),
                }
            }
        });
        wait.check()
    }

    /// Says that the holder of the lock is going to wait.
    pub(super) fn take_turn(state: &mut S) {
        *state.turn() = Some(Holder::current());
    }

    /// Says that the one who came in by [`lock_in_turn`](Self::lock_in_turn) is done, and wakes the next in line. That is due even if it never had
    /// to take the turn: it may have been woken for one.
    pub(super) fn end_turn(&self, state: &mut S) {
        *state.turn() = None;
        self.turn_is_free.notify_one();
    }
}
