//! What a wire did, in order: the newest of it. Kept as values; words are made when somebody asks.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::Direction;

/// Events that are kept.
pub const KEPT: usize = 10_000;

/// What happened. Bytes are counted by their positions in the direction's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A client connected to the wire.
    Accepted(SocketAddr),
    /// The wire's own connection to the target was made, from this address.
    Connected(SocketAddr),
    /// It could not be made: why. The client was reset.
    Unreachable(String),
    /// A new connection was closed at once; with RST, or with FIN.
    Dropped(SocketAddr, bool),
    /// A new connection gets no answer.
    Silent(SocketAddr),
    /// These bytes left as a piece.
    Piece(u64, u64),
    /// These bytes left as one piece.
    Glued(u64, u64),
    /// These bytes left late, or slowly.
    Passed(u64, u64),
    /// The receiver had not read the piece before, and the next one left all the same.
    Unread(u64),
    /// A bit of this byte was changed.
    Flipped(u64, u8, u8),
    /// The relay's memory was full for the first time, so that it stopped to read.
    Full(u64),
    /// FIN was passed on.
    Finished(u64),
    /// FIN was sent by a setting or an order.
    FinishedEarly(u64),
    /// These bytes came after that, and were thrown away.
    Discarded(u64, u64),
    /// RST came from the sender, or the kernel gave the connection up, and the receiver was reset; so many bytes were lost.
    Reset(u64, usize, String),
    /// Both connections were reset by a setting or an order; so many bytes were lost.
    ResetEarly(u64, usize),
    /// Both connections were closed by a setting or an order; so many bytes were lost.
    ClosedEarly(u64, usize),
    /// Both directions have ended.
    Over,
    /// A setting was changed, in words.
    Set(String),
    /// Nothing listens any more, or again.
    Refuses(bool),
    /// Accepting failed; it is tried again.
    Trouble(String),
    /// The wire was closed, with so many connections.
    Ended(usize),
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Since the wire was opened.
    pub at: Duration,
    /// The connection, counted from 1; 0 for the whole wire.
    pub connection: u32,
    /// Where the bytes went.
    pub direction: Option<Direction>,
    /// What happened.
    pub what: What,
}

impl What {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Connected(_) => "connected",
            Self::Unreachable(_) => "unreachable",
            Self::Dropped(..) => "dropped",
            Self::Silent(_) => "silent",
            Self::Piece(..) => "piece",
            Self::Glued(..) => "glued",
            Self::Passed(..) => "passed",
            Self::Unread(_) => "unread",
            Self::Flipped(..) => "flipped",
            Self::Full(_) => "full",
            Self::Finished(_) | Self::FinishedEarly(_) => "finished",
            Self::Discarded(..) => "discarded",
            Self::Reset(..) | Self::ResetEarly(..) => "reset",
            Self::ClosedEarly(..) | Self::Ended(_) => "closed",
            Self::Over => "over",
            Self::Set(_) => "set",
            Self::Refuses(true) => "refuses",
            Self::Refuses(false) => "listens",
            Self::Trouble(_) => "trouble",
        }
    }

    /// The bytes that it is about: from the first to before the last.
    pub fn range(&self) -> Option<(u64, u64)> {
        match *self {
            Self::Piece(from, to) | Self::Glued(from, to) | Self::Passed(from, to) | Self::Discarded(from, to) => Some((from, to)),
            Self::Flipped(at, ..) => Some((at, at + 1)),
            Self::Unread(at)
            | Self::Full(at)
            | Self::Finished(at)
            | Self::FinishedEarly(at)
            | Self::Reset(at, ..)
            | Self::ResetEarly(at, _)
            | Self::ClosedEarly(at, _) => Some((at, at)),
            _ => None,
        }
    }
}

/// `3 bytes`.
fn bytes(count: u64) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}

fn lost(count: usize) -> String {
    if count == 0 { String::new() } else { format!("; {} that waited in the relay lost", bytes(count as u64)) }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(peer) => write!(f, "the client {peer} connected to the wire"),
            Self::Connected(local) => write!(f, "the wire connected to the target, from {local}"),
            Self::Unreachable(why) => write!(f, "no connection to the target, so the client was reset: {why}"),
            Self::Dropped(peer, true) => write!(f, "the client {peer} was accepted and reset at once (drop)"),
            Self::Dropped(peer, false) => write!(f, "the client {peer} was accepted and sent FIN at once (drop)"),
            Self::Silent(peer) => write!(f, "the client {peer} was accepted, and gets no answer (silent)"),
            Self::Piece(from, to) => write!(f, "a piece of {} [{from}:{to}] left (split)", bytes(to - from)),
            Self::Glued(from, to) => write!(f, "{} [{from}:{to}] left together (glue)", bytes(to - from)),
            Self::Passed(from, to) => write!(f, "{} [{from}:{to}] left in its time (delay, jitter or rate)", bytes(to - from)),
            Self::Unread(at) => {
                write!(f, "at byte {at}: the receiver has not read the piece before; the next one leaves all the same (hold)")
            }
            Self::Flipped(at, was, is) => {
                write!(f, "byte {at} was changed from {was:#04x} to {is:#04x} (flip_at)")
            }
            Self::Full(at) => write!(f, "at byte {at}: the relay's memory is full, so it stops reading; back-pressure reaches the sender"),
            Self::Finished(at) => write!(f, "FIN after byte {at}, passed on"),
            Self::FinishedEarly(at) => write!(f, "FIN after byte {at}, from the wire (finish)"),
            Self::Discarded(from, to) => write!(f, "{} [{from}:{to}] came after that and were thrown away", bytes(to - from)),
            Self::Reset(at, count, why) => write!(f, "RST after byte {at}, passed on ({why}){}", lost(*count)),
            Self::ResetEarly(at, count) => write!(f, "RST after byte {at} to both ends, from the wire (reset){}", lost(*count)),
            Self::ClosedEarly(at, count) => write!(f, "both connections closed after byte {at}, by the wire (close){}", lost(*count)),
            Self::Over => write!(f, "both directions have ended"),
            Self::Set(words) => write!(f, "{words}"),
            Self::Refuses(true) => write!(f, "nothing listens on the wire's address any more (refuse)"),
            Self::Refuses(false) => write!(f, "the wire listens again"),
            Self::Trouble(why) => write!(f, "{why}"),
            Self::Ended(0) => write!(f, "the wire was closed"),
            Self::Ended(count) => write!(f, "the wire was closed, and {count} connection{} with it", if *count == 1 { "" } else { "s" }),
        }
    }
}

/// The newest events, and how many there were before them.
#[derive(Debug, Default)]
pub(super) struct Story {
    newest: VecDeque<Event>,
    lost: u64,
}

impl Story {
    pub(super) fn add(&mut self, event: Event) {
        if let (Some(last), What::Passed(from, to) | What::Discarded(from, to)) = (self.newest.back_mut(), &event.what) {
            let same = last.connection == event.connection && last.direction == event.direction;
            match &mut last.what {
                // What leaves bit by bit, by the clock alone, is told as one.
                What::Passed(_, until) if same && *until == *from && matches!(event.what, What::Passed(..)) => {
                    *until = *to;
                    return;
                }
                What::Discarded(_, until) if same && *until == *from && matches!(event.what, What::Discarded(..)) => {
                    *until = *to;
                    return;
                }
                _ => {}
            }
        }
        if self.newest.len() == KEPT {
            self.newest.pop_front();
            self.lost += 1;
        }
        self.newest.push_back(event);
    }

    /// A copy, oldest first, and how many older ones are not kept.
    pub(super) fn told(&self) -> (Vec<Event>, u64) {
        (self.newest.iter().cloned().collect(), self.lost)
    }
}
