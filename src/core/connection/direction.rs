//! One direction of a connection: its state behind a lock, and the turn of the one who waits there.

use std::io;
use std::ops::{Deref, DerefMut};
use std::thread::ThreadId;

use parking_lot::MutexGuard;

use super::assembly::Assembly;
use super::marks::Marks;
use crate::core::forked::{Forked, Inherit};
use crate::core::gate::Gate;
use crate::core::memory::{Memory, Tail};
use crate::core::wait::{Stop, Wait};

/// The reading direction's state.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) memory: Memory,
    pub(super) assembly: Option<Box<Assembly>>,
    pub(super) received: u64,
    pub(super) read: u64,
    pub(super) put_back: u64,
}

impl Reading {
    /// Where in the stream the next byte stands that the program gets: what was put back counts as not read.
    pub(super) fn position(&self) -> i64 {
        self.read as i64 - self.put_back as i64
    }

    /// How many bytes lie in Rust: in memory, and in what a large read has gathered.
    pub(super) fn held(&self) -> usize {
        self.memory.len() + self.assembly.as_ref().map_or(0, |assembly| assembly.filled().len())
    }
}

/// The writing direction's state.
#[derive(Debug, Default)]
pub(super) struct Writing {
    tail: Option<Box<Tail>>,
    /// What a server has for this client and the kernel has not taken yet.
    waiting: Option<Box<Memory>>,
    /// What came for it while somebody else was in the middle of a message.
    behind: Option<Box<Memory>>,
    marks: Option<Box<Marks>>,
    pub(super) sent: u64,
}

impl Writing {
    /// Counts and remembers what the kernel just took.
    pub(super) fn handed_over(&mut self, bytes: &[u8]) {
        self.sent += bytes.len() as u64;
        self.tail.get_or_insert_default().push(bytes);
    }

    /// A call of the program has sent what it could.
    #[inline]
    pub(super) fn mark(&mut self) {
        let sent = self.sent;
        self.marks.get_or_insert_default().set(sent);
    }

    /// How many calls have sent something, and where the last of them ended.
    pub(super) fn marks(&self) -> (usize, Vec<u64>) {
        self.marks.as_ref().map_or_else(Default::default, |marks| marks.all())
    }

    /// The last `count` bytes sent, or as many of them as are kept. With none outstanding the memory is given back.
    pub(super) fn outstanding(&mut self, count: usize) -> Vec<u8> {
        if count == 0 {
            self.tail = None;
        }
        self.tail.as_ref().map_or_else(Vec::new, |tail| tail.last(count))
    }

    /// Gives the memory back: there will be no more looks.
    pub(super) fn forget(&mut self) {
        self.tail = None;
        self.waiting = None;
        self.behind = None;
    }

    /// How many bytes wait for this client in all.
    pub(super) fn waits(&self) -> usize {
        self.waiting().len() + self.behind.as_ref().map_or(0, |behind| behind.len())
    }

    /// Lets bytes wait until the message that somebody is in the middle of is complete.
    pub(super) fn let_wait_behind(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.behind.get_or_insert_default().append(bytes)
    }

    /// The message is complete: what waits behind it follows. Whether there was any. Nothing is copied if the message is gone already.
    pub(super) fn let_follow(&mut self) -> bool {
        let Some(behind) = self.behind.take() else { return false };
        match &mut self.waiting {
            None => self.waiting = Some(behind),
            // Without memory it goes on waiting behind.
            Some(waiting) => {
                if waiting.append(behind.as_slice()).is_err() {
                    self.behind = Some(behind);
                }
            }
        }
        true
    }

    /// Bytes that wait in Rust for the kernel to take them, oldest first.
    pub(super) fn waiting(&self) -> &[u8] {
        self.waiting.as_ref().map_or(&[], |waiting| waiting.as_slice())
    }

    /// Lets bytes wait behind the others.
    pub(super) fn let_wait(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() { Ok(()) } else { self.waiting.get_or_insert_default().append(bytes) }
    }

    /// The kernel took the oldest `count` of those that wait.
    pub(super) fn taken(&mut self, count: usize) {
        self.sent += count as u64;
        if let Some(waiting) = &mut self.waiting {
            waiting.consume(count);
            if waiting.is_empty() {
                self.waiting = None;
            }
        }
    }
}

/// A direction's state, and the thread that waits there.
#[derive(Debug, Default)]
pub(super) struct Taken<S> {
    state: S,
    turn: Option<ThreadId>,
    /// If it is not the thread itself that waits but one of the tasks in its event loop, that task's number; else 0.
    task: u32,
}

impl<S> Deref for Taken<S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.state
    }
}

impl<S> DerefMut for Taken<S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.state
    }
}

impl<S> Taken<S> {
    /// Whether somebody waits in this direction.
    #[inline]
    pub(super) fn is_taken(&self) -> bool {
        self.turn.is_some()
    }

    /// Says that the holder of the lock is going to wait.
    pub(super) fn take_turn(&mut self) {
        self.turn = Some(std::thread::current().id());
    }

    /// Leaves the turn to a task of this thread's event loop, until it comes again.
    pub(super) fn leave_turn_to(&mut self, task: u32) {
        self.take_turn();
        self.task = task;
    }

    /// Whether this task has the turn.
    pub(super) fn is_turn_of(&self, task: u32) -> bool {
        self.turn.is_some() && self.task == task && task != 0
    }
}

/// A turn of a thread of the parent is nobody's in the child, and an assembly is memory of such a thread.
impl<S: Default + Salvage> Inherit for Taken<S> {
    fn inherit(parents: Option<&mut Self>) -> Self {
        Self { state: parents.map(|parents| S::salvage(&mut parents.state)).unwrap_or_default(), turn: None, task: 0 }
    }
}

/// What of a direction's state can go on in a child.
pub(super) trait Salvage {
    fn salvage(parents: &mut Self) -> Self;
}

impl Salvage for Reading {
    fn salvage(parents: &mut Self) -> Self {
        let mut memory = std::mem::take(&mut parents.memory);
        if let Some(assembly) = parents.assembly.take() {
            memory.put_back(assembly.filled());
        }
        Self { memory, assembly: None, ..*parents }
    }
}

impl Salvage for Writing {
    fn salvage(parents: &mut Self) -> Self {
        std::mem::take(parents)
    }
}

pub(super) type Guard<'a, S> = MutexGuard<'a, Taken<S>>;

#[derive(Debug, Default)]
pub(super) struct Direction<S: Default>(Forked<Taken<S>>);

impl<S: Default + Salvage + Send> Direction<S> {
    /// The state, for a copy or one non-blocking call.
    #[inline]
    pub(super) fn lock(&self) -> Guard<'_, S> {
        self.0.lock()
    }

    /// The state, once nobody waits in this direction.
    #[inline]
    pub(super) fn lock_in_turn(&self, gate: &Gate, wait: &mut Wait<'_>) -> Result<Guard<'_, S>, Stop> {
        let state = self.lock();
        if state.is_taken() { self.lock_after(state, gate, wait) } else { Ok(state) }
    }

    #[cold]
    fn lock_after<'a>(&'a self, mut state: Guard<'a, S>, gate: &Gate, wait: &mut Wait<'_>) -> Result<Guard<'a, S>, Stop> {
        loop {
            match state.turn {
                None => return Ok(state),
                Some(holder) if holder == std::thread::current().id() => match state.task {
                    // A signal handler of Python's runs in the middle of this thread's own wait, which cannot end before the handler does.
                    0 => return Err(Stop::Reentered),
                    // Nor can a task's, while its event loop waits here.
                    _ if wait.deadline.remaining().is_none_or(|left| !left.is_zero()) && gate.is_open() => return Err(Stop::Awaited),
                    _ => drop(state),
                },
                Some(_) => drop(state),
            }
            if let Err(stop) = self.sleep(gate, wait) {
                // The wake-up that this one may have had is for the next in line.
                self.0.slot().changed.notify_one();
                return Err(stop);
            }
            state = self.lock();
        }
    }

    /// As [`lock_in_turn`](Self::lock_in_turn), for a task that may have the turn already.
    pub(super) fn lock_for(&self, task: u32, gate: &Gate, wait: &mut Wait<'_>) -> Result<Guard<'_, S>, Stop> {
        let state = self.lock();
        if state.is_turn_of(task) {
            return Ok(state);
        }
        drop(state);
        self.lock_in_turn(gate, wait)
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
            let slot = self.0.slot();
            let mut state = slot.state.lock();
            if state.is_taken() {
                match sleep {
                    Some(time) => {
                        slot.changed.wait_for(&mut state, time);
                    }
                    None => slot.changed.wait(&mut state),
                }
            }
        });
        wait.check()
    }

    /// Says that the one who came in by [`lock_in_turn`](Self::lock_in_turn) is done, and wakes the next in line. That is due even if it never had
    /// to take the turn: it may have been woken for one.
    pub(super) fn end_turn(&self, state: &mut Taken<S>) {
        state.turn = None;
        state.task = 0;
        self.0.slot().changed.notify_one();
    }
}
