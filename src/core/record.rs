//! What the calls of this program did, while somebody records: a bounded ring of events for each recording. A call costs one relaxed load at
//! its begin and one at its end while nobody does. Nothing is decided here, and no other lock is taken while this one is held.
//!
//! A door of the house (`Connection::recorded`, `Listener::accept`, `connect`) opens a [`Call`] and ends it; between the two, whoever counts bytes
//! under the lock of their direction leaves a note of them for the call of its own thread, so that the numbers fit the order of the stream. A task of
//! an event loop tries again and again: its call is paused after a try that came to nothing, and goes on with the next.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

pub use super::calling::names_by;
use super::calling::thread;
use super::error::Error;
pub use super::event::{Event, Failure, HEAD, Head, Moved, Way};
use super::forked::{Forked, Inherit};
use super::state::TcpState;

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub struct Whose {
    /// Its number.
    pub socket: u32,
    /// Its endpoint.
    pub local: Option<SocketAddr>,
    /// The other one.
    pub peer: Option<SocketAddr>,
}

/// What is learned about a call while it goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notes {
    /// The bytes.
    pub moved: Option<Moved>,
    /// The first of them.
    pub head: Head,
    /// Whether the stream ended.
    pub end_seen: bool,
    /// Whether RST has to be sent.
    pub reset: bool,
    /// The state before.
    pub before: Option<TcpState>,
    /// The state after.
    pub after: Option<TcpState>,
    /// The connection that was made.
    pub made: Option<u32>,
    /// Which stretch of recording they are from.
    pub era: u32,
}

impl Notes {
    const NONE: Self =
        Self { moved: None, head: Head::EMPTY, end_seen: false, reset: false, before: None, after: None, made: None, era: 0 };

    /// They themselves if they are of this time, none if a call left them behind that ended when nobody recorded.
    fn current(self) -> Self {
        let era = ERA.load(Relaxed);
        if self.era == era { self } else { Self { era, ..Self::NONE } }
    }

    /// Those of a try and of the next one; of bytes only what follows on what was there.
    fn and(mut self, mut next: Self) -> Self {
        if let (Some(one), Some(two)) = (self.moved, next.moved) {
            if one.way == two.way && one.at.map(|at| at + one.count as i64) == two.at {
                next.moved = Some(Moved { count: one.count + two.count, ..one });
                self.head.push(next.head.as_slice());
                next.head = self.head;
            }
        } else if next.moved.is_none() {
            (next.moved, next.head) = (self.moved, self.head);
        }
        next.before = self.before.or(next.before);
        next
    }
}

static ACTIVE: AtomicU32 = AtomicU32::new(0);
/// How often a recording began while there was no other: what is noted before is no part of what comes after.
static ERA: AtomicU32 = AtomicU32::new(0);
static NUMBERS: AtomicU32 = AtomicU32::new(0);
static RINGS: OnceLock<Forked<Rings>> = OnceLock::new();

thread_local! {
    static NOTES: Cell<Notes> = const { Cell::new(Notes::NONE) };
    /// The call that was paused last, for the task to take along.
    static PAUSED: Cell<Option<Box<Paused>>> = const { Cell::new(None) };
    /// The call that the next one goes on with.
    static RESUMED: Cell<Option<Box<Paused>>> = const { Cell::new(None) };
}

/// Whether anybody records.
#[inline(always)]
pub fn is_on() -> bool {
    ACTIVE.load(Relaxed) != 0
}

/// A number for a socket, which no other has.
pub fn number() -> u32 {
    NUMBERS.fetch_add(1, Relaxed).wrapping_add(1)
}

/// Nanoseconds since this process first asked.
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A call that is being recorded.
#[derive(Debug)]
pub struct Call {
    /// `None` if it was under way already when somebody began to record.
    began: Option<u64>,
    /// Those of the call that this one interrupts, if it is a signal handler's.
    outer: Notes,
    /// What it goes on with, if that is the same call.
    resumed: Option<Box<Paused>>,
}

impl Call {
    /// Begins, if anybody records.
    #[inline(always)]
    pub fn begin() -> Option<Self> {
        is_on().then(Self::begin_now)
    }

    #[cold]
    fn begin_now() -> Self {
        Self { began: Some(now()), outer: NOTES.take(), resumed: RESUMED.take() }
    }

    /// At the end of a call that has not begun to be recorded: if somebody records now, it was under way when that began. The notes that its thread
    /// has are its own.
    #[inline(always)]
    pub fn late() -> Option<Self> {
        is_on().then_some(Self { began: None, outer: Notes::NONE, resumed: None })
    }

    /// Ends, and is kept.
    #[cold]
    pub fn end(self, call: &'static str, whose: Whose, error: Option<&Error>) {
        let Paused { began, notes, .. } = self.so_far(call, whose);
        keep(event(call.into(), began, now(), whose, notes, error.map(failure)));
    }

    /// Has come to nothing yet: the task will try again.
    #[cold]
    pub fn pause(self, call: &'static str, whose: Whose) {
        let so_far = self.so_far(call, whose);
        PAUSED.set(Some(Box::new(so_far)));
    }

    /// Ends as if it had never been.
    pub fn forget(self) {
        NOTES.set(self.outer);
    }

    fn so_far(self, call: &'static str, whose: Whose) -> Paused {
        let notes = NOTES.replace(self.outer).current();
        // Python may run something else between a task's resumption and its try: a destructor that closes another socket.
        match self.resumed.filter(|before| before.is_of(call, whose)) {
            Some(before) => Paused { call, notes: before.notes.and(notes), ..*before },
            None => Paused { call, whose, began: self.began, notes },
        }
    }
}

/// A call of a task that waits to try again.
#[derive(Clone, Copy, Debug)]
pub struct Paused {
    /// Empty while nobody knows.
    call: &'static str,
    whose: Whose,
    began: Option<u64>,
    notes: Notes,
}

impl Paused {
    /// A call whose tries so far nobody recorded: when it began is not known, and only its next try says which call it is.
    pub fn under_way(whose: Whose) -> Self {
        Self { call: "", whose, began: None, notes: Notes::NONE }
    }

    fn is_of(&self, call: &str, whose: Whose) -> bool {
        self.whose.socket == whose.socket && (self.call == call || self.call.is_empty())
    }

    /// The call that this thread has paused last, if nobody has taken it yet.
    pub fn last() -> Option<Box<Self>> {
        PAUSED.take()
    }

    /// Makes another try of it; if that comes to nothing, [`last`](Self::last) has the call again.
    pub fn resumed<T>(&self, attempt: impl FnOnce() -> T) -> T {
        RESUMED.set(Some(Box::new(*self)));
        let answer = attempt();
        RESUMED.set(None);
        answer
    }

    /// Ends it: there will be no other try. The caller says which call it is, if no try has.
    pub fn end(&self, call: String, failure: Failure) {
        let call = if self.call.is_empty() { call.into() } else { self.call.into() };
        keep(event(call, self.began, now(), self.whose, self.notes, Some(failure)));
    }
}

/// Keeps a call that began and ended at this moment. With `locked`, somebody further out holds a lock.
#[cold]
pub fn at_once(call: &'static str, whose: Whose, notes: Notes, failure: Option<Failure>, locked: bool) {
    let now = now();
    keep(event_in(thread(!locked), call.into(), Some(now), now, whose, notes, failure));
}

/// Keeps a call that somebody else has timed.
pub fn foreign(call: String, began: Option<u64>, ended: u64, whose: Whose, notes: Notes, failure: Option<Failure>) {
    keep(Event { foreign: true, ..event(call.into(), began, ended, whose, notes, failure) });
}

/// Leaves a note for this thread's call, if anybody records.
#[inline(always)]
pub fn note(take: impl FnOnce(&mut Notes)) {
    if is_on() {
        let mut notes = NOTES.get().current();
        take(&mut notes);
        NOTES.set(notes);
    }
}

fn event(call: Cow<'static, str>, began: Option<u64>, ended: u64, whose: Whose, notes: Notes, failure: Option<Failure>) -> Event {
    event_in(thread(true), call, began, ended, whose, notes, failure)
}

fn event_in(
    thread: Arc<str>,
    call: Cow<'static, str>,
    began: Option<u64>,
    ended: u64,
    whose: Whose,
    notes: Notes,
    failure: Option<Failure>,
) -> Event {
    Event {
        socket: whose.socket,
        call,
        began,
        ended,
        thread,
        local: whose.local,
        peer: whose.peer,
        made: notes.made,
        moved: notes.moved,
        head: notes.head,
        end_seen: notes.end_seen,
        reset: notes.reset,
        failure: failure.map(Box::new),
        before: notes.before,
        after: notes.after,
        foreign: false,
    }
}

fn failure(error: &Error) -> Failure {
    Failure { kind: error.kind().into(), code: error.code(), text: error.to_string() }
}

/// The events of one recording: the last of them, and how many were dropped for them.
#[derive(Debug)]
struct Ring {
    id: u32,
    limit: usize,
    events: VecDeque<Event>,
    lost: u64,
}

impl Ring {
    fn push(&mut self, event: Event) {
        if self.events.len() == self.limit {
            self.events.pop_front();
            self.lost += 1;
        }
        self.events.push_back(event);
    }
}

#[derive(Debug, Default)]
struct Rings(Vec<Ring>);

/// A child goes on with a copy of what its parent had; it is the parent's own memory that the copy is made from.
impl Inherit for Rings {
    fn inherit(parents: Option<&mut Self>) -> Self {
        parents.map(std::mem::take).unwrap_or_default()
    }
}

fn keep(event: Event) {
    let Some(rings) = RINGS.get() else { return };
    let mut rings = rings.lock();
    if let Some((last, others)) = rings.0.split_last_mut() {
        others.iter_mut().for_each(|ring| ring.push(event.clone()));
        last.push(event);
    }
}

/// A recording: it gets every call that ends while it lives.
#[derive(Debug)]
pub struct Recording(u32);

impl Recording {
    /// Begins to record, at most `limit` events, the last ones.
    pub fn start(limit: usize) -> Self {
        let id = number();
        now();
        RINGS.get_or_init(Forked::default).lock().0.push(Ring { id, limit: limit.max(1), events: VecDeque::new(), lost: 0 });
        if ACTIVE.fetch_add(1, Relaxed) == 0 {
            ERA.fetch_add(1, Relaxed);
        }
        Self(id)
    }

    /// The events from the one with this number on, counted from 0, and how many there were before the first that is left.
    pub fn events(&self, from: u64) -> (u64, Vec<Event>) {
        let Some(rings) = RINGS.get() else { return (0, Vec::new()) };
        let rings = rings.lock();
        let Some(ring) = rings.0.iter().find(|ring| ring.id == self.0) else { return (0, Vec::new()) };
        let skipped = usize::try_from(from.saturating_sub(ring.lost)).unwrap_or(usize::MAX);
        (ring.lost, ring.events.iter().skip(skipped).cloned().collect())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Relaxed);
        if let Some(rings) = RINGS.get() {
            let mut rings = rings.lock();
            let over = rings.0.iter().position(|ring| ring.id == self.0).map(|at| rings.0.remove(at));
            drop(rings);
            // Outside the lock: there may be much to free.
            drop(over);
        }
    }
}

#[cfg(test)]
mod tests;
