//! Sleeping on a socket together with a handle that another thread can pull. One waker a thread, not one a connection: ten thousand
//! idle connections need no descriptors of their own for it.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use socket2::Socket;

use super::WakeHandle;

/// What a sleeper waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes, an end of stream, an error, or a client to accept.
    Read,
    /// Room to send, or the end of a connection attempt.
    Write,
}

/// Why a sleep ended; neither is set when its time was over or a signal came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Polled {
    /// The socket is ready, or has an error to tell.
    pub(crate) ready: bool,
    /// The waker was pulled.
    pub(crate) woken: bool,
}

/// Ends the sleep of the thread that it belongs to.
#[derive(Debug)]
pub(crate) struct Waker(WakeHandle);

thread_local! {
    /// With the process it was made in: a forked child must not pull a handle that it shares with its parent.
    static MINE: RefCell<Option<(u32, Arc<Waker>)>> = const { RefCell::new(None) };
}

impl Waker {
    pub(crate) fn of_this_thread() -> io::Result<Arc<Self>> {
        let generation = super::generation();
        MINE.with_borrow_mut(|mine| match mine {
            Some((made_in, waker)) if *made_in == generation => Ok(Arc::clone(waker)),
            _ => {
                let waker = Arc::new(Self(WakeHandle::new()?));
                *mine = Some((generation, Arc::clone(&waker)));
                Ok(waker)
            }
        })
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }

    pub(crate) fn drain(&self) {
        self.0.drain();
    }
}

/// poll(2), at most `sleep` long; `None` is for ever.
pub(crate) fn poll(socket: &Socket, interest: Interest, waker: Option<&Waker>, sleep: Option<Duration>) -> io::Result<Polled> {
    let wanted = match interest {
        Interest::Read => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
    };
    let mut both;
    let mut alone;
    let fds: &mut [PollFd<'_>] = match waker {
        Some(waker) => {
            both = [PollFd::new(socket, wanted), PollFd::new(&waker.0, PollFlags::IN)];
            &mut both
        }
        None => {
            alone = [PollFd::new(socket, wanted)];
            &mut alone
        }
    };
    // A time that does not fit is longer than anybody waits.
    let sleep = sleep.and_then(|time| Timespec::try_from(time).ok());
    match rustix::event::poll(fds, sleep.as_ref()) {
        Ok(_) => Ok(Polled { ready: !fds[0].revents().is_empty(), woken: fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) }),
        Err(rustix::io::Errno::INTR) => Ok(Polled::default()),
        Err(error) => Err(error.into()),
    }
}
