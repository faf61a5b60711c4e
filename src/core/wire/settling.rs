//! Whether bytes that were sent have come where they should before anything follows. A piece is seen as a piece only if its receiver reads it before
//! the next one comes. On this machine the kernel's table tells that (sock_diag(7): how much has arrived, how much of it is unread); of another
//! machine only what it has acknowledged is known, and a short pause has to do.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::Socket;

use crate::core::{ports, sys};

/// The first look comes after this, which a receiver that already waits needs to wake up; each later one after twice the time, up to …
const FIRST_LOOK: Duration = Duration::from_micros(40);
/// … this.
const LATE_LOOK: Duration = Duration::from_millis(20);
/// A receiver elsewhere has so much time to read what it has acknowledged.
const PAUSE: Duration = Duration::from_millis(5);
/// Who does not read has waited for long enough after this, however often it was waited for.
const SHORTEST: Duration = Duration::from_millis(5);

/// What is awaited of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// All has arrived.
    Arrived,
    /// All has been read.
    Read,
}

/// A wait for the receiver.
#[derive(Debug)]
pub(super) struct Settling {
    until: Until,
    since: Duration,
    /// When to look next, and how long after that if it was too early.
    pub(super) look: Duration,
    pause: Duration,
    /// The longest wait; `None`: as long as it takes.
    at_most: Option<Duration>,
    acknowledged: Option<Duration>,
}

/// How a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    NotYet,
    Yes,
    /// It has taken too long.
    GivenUp,
}

/// What is asked of the receiver's end, as its sender knows it.
#[derive(Debug)]
pub(super) struct Receiver<'a> {
    pub(super) socket: &'a Socket,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    /// Bytes sent to it over its life.
    pub(super) sent: u64,
    /// Whether it is a socket of this machine; unknown at first.
    pub(super) here: &'a mut Option<bool>,
}

impl Settling {
    pub(super) fn new(until: Until, now: Duration, at_most: Option<Duration>) -> Self {
        Self { until, since: now, look: now + FIRST_LOOK, pause: FIRST_LOOK, at_most, acknowledged: None }
    }

    pub(super) fn until(&self) -> Until {
        self.until
    }

    /// Looks, if it is time for that.
    pub(super) fn look(&mut self, now: Duration, mut receiver: Receiver<'_>) -> Settled {
        if now < self.look {
            return Settled::NotYet;
        }
        if self.has(now, &mut receiver) {
            return Settled::Yes;
        }
        let left = self.at_most.map(|most| (self.since + most).saturating_sub(now));
        if left.is_some_and(|left| left.is_zero()) {
            return Settled::GivenUp;
        }
        self.pause = (self.pause * 2).min(LATE_LOOK);
        self.look = now + left.map_or(self.pause, |left| left.min(self.pause));
        Settled::NotYet
    }

    fn has(&mut self, now: Duration, receiver: &mut Receiver<'_>) -> bool {
        if *receiver.here != Some(false) {
            match ports::taken(receiver.peer, receiver.local) {
                Some(Some(taken)) => {
                    *receiver.here = Some(true);
                    // A send that finds the receiver at work is taken in a moment later, so that nothing unread does not mean that all was read.
                    return taken.arrived >= receiver.sent && (self.until == Until::Arrived || taken.unread == 0);
                }
                // One that was here has closed its end: there is nobody to wait for.
                _ if *receiver.here == Some(true) => return true,
                _ => *receiver.here = Some(false),
            }
        }
        let outstanding = sys::send_queue(receiver.socket).ok().flatten().unwrap_or(0);
        if outstanding > 0 {
            return false;
        }
        now >= *self.acknowledged.get_or_insert(now) + PAUSE
    }
}

/// How long to wait for a receiver that has not read in time so and so often in a row: half as long each time, so that one who waits for more before
/// it reads (SO_RCVLOWAT, MSG_PEEK) is not kept waiting at every piece.
pub(super) fn patience(hold: Option<Duration>, given_up: u32) -> Option<Duration> {
    hold.map(|hold| (hold / 2u32.saturating_pow(given_up.min(20))).max(SHORTEST.min(hold)))
}
