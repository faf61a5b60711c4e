//! The life of one socket, and the only place where a call sleeps for the network. Whoever uses the socket is inside the gate; `shut` lets nobody
//! in, wakes those who wait and gives the socket back when the last has left. No lock is held while anybody sleeps.
//!
//! Why all this: close(2) in another thread does not wake a blocked recv or accept, keeps the port bound as long as it blocks, and
//! the blocked call may even take the next byte or client.

use std::io;
use std::ops::Deref;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Weak};
use std::time::Duration;

use socket2::Socket;

use super::forked::{Forked, Inherit};
use super::readiness::Readiness;
use super::spin::Spin;
use super::sys::{self, Interest, Polled, Waker};
use super::wait::{Patience, Stop, Wait};

/// The longest sleep of one who cannot be woken.
const UNWOKEN: Duration = Duration::from_millis(50);

/// A socket and those who use it.
#[derive(Debug)]
pub struct Gate {
    inner: Forked<Inner>,
    /// Whether somebody waits, or waited, for all to leave: only then has one who leaves to say so. Two atomic operations less for every call.
    expects: AtomicBool,
    /// Whether an event loop has ever waited here.
    awaited: AtomicBool,
}

/// Who is to be told when something changes.
#[derive(Debug)]
enum Waiting {
    /// A thread that sleeps.
    Asleep(Arc<Waker>),
    /// An event loop that has, or had, somebody who waits for this socket, and the socket's key there.
    Elsewhere(Weak<Readiness>, u32),
}

#[derive(Debug)]
struct Inner {
    /// `None` once shut.
    socket: Option<Arc<Socket>>,
    waiting: Vec<Waiting>,
    /// How many of those who are inside have stepped aside, and will look again before they use the socket.
    aside: u32,
    /// Whether whoever shut it still has the socket open.
    closing: bool,
}

impl Inner {
    fn around(socket: Option<Socket>) -> Self {
        Self { socket: socket.map(Arc::new), waiting: Vec::new(), aside: 0, closing: false }
    }
}

impl Waiting {
    fn stir(&self, interest: Interest, turn: bool) {
        if let Self::Elsewhere(readiness, key) = self {
            if let Some(readiness) = readiness.upgrade() {
                readiness.stir(*key, interest, turn);
            }
        }
    }
}

/// In a child those who were inside do not exist, nor do their wakers; the descriptor is its own copy.
impl Inherit for Inner {
    fn inherit(parents: Option<&mut Self>) -> Self {
        Self::around(parents.and_then(|parents| parents.socket.take()).map(|shared| sys::take_over(&shared)))
    }
}

/// The socket of a gate that has just been shut. Others who close wait until it is gone: dropped, which closes it, or taken.
pub struct Shut<'a> {
    gate: &'a Gate,
    socket: Option<Socket>,
}

impl Shut<'_> {
    /// The socket, still open, for a new owner.
    pub fn take(mut self) -> Option<Socket> {
        self.socket.take()
    }

    /// Opens the gate again.
    pub fn reopen(mut self) {
        self.gate.inner.lock().socket = self.socket.take().map(Arc::new);
    }
}

impl Deref for Shut<'_> {
    type Target = Option<Socket>;

    fn deref(&self) -> &Option<Socket> {
        &self.socket
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        drop(self.socket.take());
        let slot = self.gate.inner.slot();
        slot.state.lock().closing = false;
        slot.changed.notify_all();
    }
}

/// The right to use the socket; it cannot be closed meanwhile.
pub struct Inside<'a> {
    gate: &'a Gate,
    socket: Option<Arc<Socket>>,
}

impl Deref for Inside<'_> {
    type Target = Arc<Socket>;

    fn deref(&self) -> &Arc<Socket> {
        match &self.socket {
            Some(socket) => socket,
            // `socket` is taken only in `drop`.
            None => unreachable!(),
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.socket = None;
        if self.gate.expects.load(SeqCst) {
            let slot = self.gate.inner.slot();
            // Under the lock, so that it does not come between the other's look and its sleep.
            drop(slot.state.lock());
            slot.changed.notify_all();
        }
    }
}

impl Gate {
    /// An open gate around a socket, which becomes non-blocking by whoever made it.
    pub fn new(socket: Socket) -> Self {
        Self { inner: Forked::new(Inner::around(Some(socket))), expects: AtomicBool::new(false), awaited: AtomicBool::new(false) }
    }

    /// Whether this process shares the open file with its parent.
    pub(super) fn is_inherited(&self) -> bool {
        self.inner.is_inherited()
    }

    /// Goes inside; `None` once shut.
    pub fn enter(&self) -> Option<Inside<'_>> {
        let socket = self.inner.lock().socket.clone()?;
        Some(Inside { gate: self, socket: Some(socket) })
    }

    /// Whether it still lets anybody in.
    pub fn is_open(&self) -> bool {
        self.inner.lock().socket.is_some()
    }

    /// Sleeps until the socket is ready for `interest`, or `attempt` succeeds during a spin (it is not called otherwise), or somebody nudges: the
    /// caller tries again in any case.
    ///
    /// # Errors
    /// The [`Stop`] that ended the wait.
    pub(crate) fn wait(
        &self,
        socket: &Socket,
        interest: Interest,
        wait: &mut Wait<'_>,
        spin: Option<&Spin>,
        attempt: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<(), Stop> {
        if wait.deadline.is_immediate() {
            return Err(Stop::WouldBlock);
        }
        if let Some(spin) = spin {
            let mut done = false;
            wait.patience.released(&mut || done = spin.run(attempt));
            if done {
                // What the attempt took from the kernel must reach the caller; a signal is for Python to handle right after.
                return Ok(());
            }
            self.check(wait)?;
        }
        // A program that has no descriptor left can still read what it has open: it sleeps in short slices instead and looks at the gate.
        let waker = Waker::of_this_thread().ok();
        loop {
            self.register(waker.as_ref())?;
            let mut sleep = wait.next_sleep();
            if waker.is_none() {
                sleep = Some(sleep.map_or(UNWOKEN, |time| time.min(UNWOKEN)));
            }
            let mut polled = Ok(Polled::default());
            wait.patience.released(&mut || polled = sys::poll(socket, interest, waker.as_deref(), sleep));
            self.deregister(waker.as_ref());
            let polled = polled.map_err(Stop::Os)?;
            if let (true, Some(waker)) = (polled.woken, &waker) {
                waker.drain();
            }
            self.check(wait)?;
            // Woken and still open: something else has changed that the caller may have waited for.
            if polled.ready || polled.woken {
                return Ok(());
            }
            if wait.deadline.remaining().is_some_and(|left| left.is_zero()) {
                return Err(Stop::TimedOut);
            }
        }
    }

    /// Steps aside to ask the caller of one who is inside whether to go on. That may run a signal handler, which may close this very gate, or wait
    /// for a thread that does; so for as long as it takes, `shut` does not wait for this one.
    ///
    /// # Errors
    /// [`Stop::Interrupted`], or [`Stop::Closed`]: the socket must not be used any more then.
    pub(crate) fn check(&self, wait: &mut Wait<'_>) -> Result<(), Stop> {
        let slot = self.inner.slot();
        slot.state.lock().aside += 1;
        slot.changed.notify_all();
        let checked = wait.check();
        // Not `slot`: a signal handler may have forked, and this may be the child, where nobody has stepped aside yet.
        let mut inner = self.inner.lock();
        inner.aside = inner.aside.saturating_sub(1);
        let open = inner.socket.is_some();
        drop(inner);
        checked?;
        if open { Ok(()) } else { Err(Stop::Closed) }
    }

    /// Wakes all who sleep here, so that they look again, and all in event loops who wait for bytes.
    pub(crate) fn nudge(&self) {
        for waiting in &self.inner.lock().waiting {
            match waiting {
                Waiting::Asleep(waker) => waker.wake(),
                Waiting::Elsewhere(..) => waiting.stir(Interest::Read, false),
            }
        }
    }

    /// Asks for one event of the socket, to be told to an event loop, and gives its key there; `None` once shut. With `turn` it is the end of
    /// somebody's turn that is awaited, which [`stir`](Self::stir) tells.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn ask(&self, readiness: &Arc<Readiness>, interest: Interest, turn: bool) -> io::Result<Option<u32>> {
        let mut inner = self.inner.lock();
        let Some(socket) = inner.socket.clone() else { return Ok(None) };
        let same = |waiting: &Waiting| match waiting {
            Waiting::Elsewhere(other, key) if std::ptr::eq(other.as_ptr(), Arc::as_ptr(readiness)) => Some(*key),
            _ => None,
        };
        let known = inner.waiting.iter().find_map(same);
        let key = known.unwrap_or_else(|| readiness.new_key());
        readiness.ask(&socket, key, known.is_none(), interest, turn)?;
        if known.is_none() {
            // Loops that are closed by now are forgotten on this occasion.
            inner.waiting.retain(|waiting| !matches!(waiting, Waiting::Elsewhere(other, _) if other.strong_count() == 0));
            inner.waiting.push(Waiting::Elsewhere(Arc::downgrade(readiness), key));
            self.awaited.store(true, Relaxed);
        }
        Ok(Some(key))
    }

    /// Tells those who wait in event loops that this direction is worth another try: bytes were left in memory, or a turn is over. With `turn`
    /// only those who wait for a turn.
    #[cold]
    pub(crate) fn stir(&self, interest: Interest, turn: bool) {
        self.inner.lock().waiting.iter().for_each(|waiting| waiting.stir(interest, turn));
    }

    /// Whether an event loop has ever waited here, and may have to be [stirred](Self::stir).
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.load(Relaxed)
    }

    fn register(&self, waker: Option<&Arc<Waker>>) -> Result<(), Stop> {
        let mut inner = self.inner.lock();
        if inner.socket.is_none() {
            return Err(Stop::Closed);
        }
        inner.waiting.extend(waker.cloned().map(Waiting::Asleep));
        Ok(())
    }

    fn deregister(&self, waker: Option<&Arc<Waker>>) {
        let Some(waker) = waker else { return };
        let mut inner = self.inner.lock();
        if let Some(at) = inner.waiting.iter().position(|other| matches!(other, Waiting::Asleep(other) if Arc::ptr_eq(other, waker))) {
            inner.waiting.swap_remove(at);
        }
    }

    /// Lets nobody in any more, wakes all who wait, and gives the socket to the caller when the last has left. `None` if it was shut before; if
    /// another thread is about to close the socket, it is closed when this returns.
    pub fn shut(&self, patience: &mut dyn Patience) -> Option<Shut<'_>> {
        let slot = self.inner.slot();
        let mut inner = slot.state.lock();
        let mut socket = loop {
            if let Some(socket) = inner.socket.take() {
                break socket;
            }
            if !inner.closing {
                return None;
            }
            drop(inner);
            patience.released(&mut || {
                let mut inner = slot.state.lock();
                while inner.closing {
                    slot.changed.wait(&mut inner);
                }
            });
            // Whoever had shut it may have opened it again.
            inner = slot.state.lock();
        };
        inner.closing = true;
        self.expects.store(true, SeqCst);
        for waiting in inner.waiting.drain(..) {
            match waiting {
                Waiting::Asleep(waker) => waker.wake(),
                Waiting::Elsewhere(readiness, key) => {
                    if let Some(readiness) = readiness.upgrade() {
                        readiness.end(key, &socket);
                    }
                }
            }
        }
        drop(inner);
        loop {
            socket = match Arc::try_unwrap(socket) {
                Ok(alone) => return Some(Shut { gate: self, socket: Some(alone) }),
                Err(shared) => shared,
            };
            let mut out = false;
            patience.released(&mut || {
                let mut inner = slot.state.lock();
                // Whoever leaves or steps aside notifies; the time limit is for the one who let go of the socket just before this line.
                if Arc::strong_count(&socket) > 1 + inner.aside as usize {
                    slot.changed.wait_for(&mut inner, Duration::from_millis(5));
                }
                out = inner.aside > 0 && Arc::strong_count(&socket) <= 1 + inner.aside as usize;
            });
            if out {
                // Those who stepped aside will find the gate shut, and not touch the socket again.
                return Some(Shut { gate: self, socket: Some(sys::take_over(&socket)) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wait::{Timeout, Uninterrupted};
    use super::*;
    use socket2::{Domain, Type};
    use std::sync::mpsc;

    fn listening() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.listen(1).unwrap();
        socket
    }

    #[test]
    fn shutting_wakes_a_sleeper_and_waits_until_it_has_left() {
        let gate = Gate::new(listening());
        let (asleep, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let inside = gate.enter().unwrap();
                asleep.send(()).unwrap();
                let mut patience = Uninterrupted;
                let mut wait = Wait::new(Timeout::Forever, &mut patience);
                gate.wait(&inside, Interest::Read, &mut wait, None, &mut || false)
            });
            told.recv().unwrap();
            let socket = gate.shut(&mut Uninterrupted).expect("it was open");
            assert!(matches!(sleeper.join().unwrap(), Err(Stop::Closed)));
            drop(socket);
        });
        assert!(gate.enter().is_none());
        assert!(gate.shut(&mut Uninterrupted).is_none(), "shutting twice does nothing");
    }

    #[test]
    fn a_deadline_ends_the_sleep() {
        let gate = Gate::new(listening());
        let inside = gate.enter().unwrap();
        let mut patience = Uninterrupted;
        let mut wait = Wait::new(Timeout::After(Duration::from_millis(20)), &mut patience);
        assert!(matches!(gate.wait(&inside, Interest::Read, &mut wait, None, &mut || false), Err(Stop::TimedOut)));
        let mut wait = Wait::new(Timeout::After(Duration::ZERO), &mut patience);
        assert!(matches!(gate.wait(&inside, Interest::Read, &mut wait, None, &mut || false), Err(Stop::WouldBlock)));
    }
}
