//! The life of one socket, and the only place where a call sleeps. Whoever uses the socket is inside the gate; `shut` lets nobody
//! in, wakes those who wait and gives the socket back when the last has left. No lock is held while anybody sleeps.
//!
//! Why all this: close(2) in another thread does not wake a blocked recv or accept, keeps the port bound as long as it blocks, and
//! the blocked call may even take the next byte or client.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use socket2::Socket;

use super::spin::Spin;
use super::sys::{self, Interest, Polled, Waker};
use super::wait::{Patience, Stop, Wait};

/// A socket and those who use it.
#[derive(Debug)]
pub struct Gate {
    inner: Mutex<Inner>,
    left: Condvar,
    /// The process that made it, as [`sys::generation`] counts: after a fork the child has a copy whose other users do not exist.
    generation: u32,
}

#[derive(Debug)]
struct Inner {
    /// `None` once shut.
    socket: Option<Arc<Socket>>,
    waiting: Vec<Arc<Waker>>,
    /// How many of those who are inside have stepped aside, and will look again before they use the socket.
    aside: usize,
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
        let inner = self.gate.inner.lock();
        if inner.socket.is_none() {
            self.gate.left.notify_all();
        }
    }
}

impl Gate {
    /// An open gate around a socket, which becomes non-blocking by whoever made it.
    pub fn new(socket: Socket) -> Self {
        Self {
            inner: Mutex::new(Inner { socket: Some(Arc::new(socket)), waiting: Vec::new(), aside: 0 }),
            left: Condvar::new(),
            generation: sys::generation(),
        }
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
        let waker = Waker::of_this_thread().map_err(Stop::Os)?;
        loop {
            self.register(&waker)?;
            let sleep = wait.next_sleep();
            let mut polled = Ok(Polled::default());
            wait.patience.released(&mut || polled = sys::poll(socket, interest, &waker, sleep));
            self.deregister(&waker);
            let polled = polled.map_err(Stop::Os)?;
            if polled.woken {
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
        self.inner.lock().aside += 1;
        self.left.notify_all();
        let checked = wait.check();
        let mut inner = self.inner.lock();
        inner.aside -= 1;
        let open = inner.socket.is_some();
        drop(inner);
        checked?;
        if open { Ok(()) } else { Err(Stop::Closed) }
    }

    /// Wakes all who sleep here, so that they look again.
    pub(crate) fn nudge(&self) {
        // Of a fork's two processes only the one that made the wakers may pull them.
        if self.generation == sys::generation() {
            self.inner.lock().waiting.iter().for_each(|waker| waker.wake());
        }
    }

    fn register(&self, waker: &Arc<Waker>) -> Result<(), Stop> {
        let mut inner = self.inner.lock();
        if inner.socket.is_none() {
            return Err(Stop::Closed);
        }
        inner.waiting.push(Arc::clone(waker));
        Ok(())
    }

    fn deregister(&self, waker: &Arc<Waker>) {
        let mut inner = self.inner.lock();
        if let Some(at) = inner.waiting.iter().position(|other| Arc::ptr_eq(other, waker)) {
            inner.waiting.swap_remove(at);
        }
    }

    /// Lets nobody in any more, wakes all who wait, and gives the socket to the caller when the last has left. `None` if it was shut before.
    pub fn shut(&self, patience: &mut dyn Patience) -> Option<Socket> {
        let mut inner = self.inner.lock();
        let mut socket = inner.socket.take()?;
        if self.generation != sys::generation() {
            // In a forked child: those who were inside are the parent's threads, and so are the wakers.
            return Some(Arc::try_unwrap(socket).unwrap_or_else(|shared| sys::take_over(&shared)));
        }
        for waker in inner.waiting.drain(..) {
            waker.wake();
        }
        drop(inner);
        loop {
            match Arc::try_unwrap(socket) {
                Ok(alone) => return Some(alone),
                Err(shared) => {
                    let mut out = false;
                    patience.released(&mut || {
                        let mut inner = self.inner.lock();
                        // Whoever leaves or steps aside notifies; the time limit is for the one who let go of the socket just before this line.
                        if Arc::strong_count(&shared) > 1 + inner.aside {
                            self.left.wait_for(&mut inner, Duration::from_millis(5));
                        }
                        out = inner.aside > 0 && Arc::strong_count(&shared) <= 1 + inner.aside;
                    });
                    if out {
                        // Those who stepped aside will find the gate shut, and not touch the socket again.
                        return Some(sys::take_over(&shared));
                    }
                    socket = shared;
                }
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
