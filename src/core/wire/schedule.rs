//! What leaves when, in one direction of one connection. Pure: bytes and the time go in, steps come out; no socket is known here, and the same seed,
//! settings, bytes and times give the same steps.

use std::collections::VecDeque;
use std::time::Duration;

use super::mischief::{Mischief, Split, chance};

/// Bytes that wait at the most; whoever sends more is not read until there is room.
pub const CAPACITY: usize = 256 << 10;
/// With a rate alone, bytes leave in pieces of so much time.
const TICK: Duration = Duration::from_millis(10);
/// How much of the time that was lost by coming late, or by waiting for the receiver, a rate makes good.
const CATCH_UP: Duration = Duration::from_millis(50);

/// How the sender's stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With FIN.
    Finish,
    /// With RST, or because the kernel gave the connection up.
    Reset,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before this time; `None`: nothing before something comes or is changed.
    Wait(Option<Duration>),
    /// Send the first so many bytes as one piece.
    Send(usize),
    /// Finish towards the receiver; by a setting, or as the sender did.
    Finish { mischief: bool },
    /// Close both connections.
    Close,
    /// Reset both connections; by a setting, or as the sender did.
    Reset { mischief: bool },
}

/// The bytes of a direction that wait, and what is known of them. Times are those of one clock that begins anywhere.
#[derive(Debug)]
pub(super) struct Schedule {
    seed: u64,
    waiting: VecDeque<u8>,
    /// Bytes that have left: the position of the first that waits.
    gone: u64,
    /// Up to which position bytes had come at which time. All are kept, since each message has its own delay: no more than one for each byte that waits,
    /// which is 6 MiB if all came alone.
    arrivals: VecDeque<(u64, Duration)>,
    end: Option<(End, Duration)>,
    /// Pieces that have left since the sizes were set, and the sizes.
    turn: u64,
    split: Split,
    /// What is left of a piece of which the kernel took a part.
    rest: usize,
    /// How many of the waiting bytes are glued together already.
    glued: usize,
    /// Until when a rate has the line occupied.
    busy: Duration,
    flipped: Option<u64>,
}

/// A byte before and after one of its bits was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flip {
    pub(super) at: u64,
    pub(super) was: u8,
    pub(super) is: u8,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            waiting: VecDeque::new(),
            gone: 0,
            arrivals: VecDeque::new(),
            end: None,
            turn: 0,
            split: Split::Not,
            rest: 0,
            glued: 0,
            busy: Duration::ZERO,
            flipped: None,
        }
    }

    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    #[cfg(test)]
    pub(super) fn moments(&self) -> usize {
        self.arrivals.len()
    }

    /// How many more may come.
    pub(super) fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.waiting.len())
    }

    /// The position of the first byte that waits.
    pub(super) fn position(&self) -> u64 {
        self.gone
    }

    /// Whether the kernel has taken a part of a piece.
    pub(super) fn is_amid(&self) -> bool {
        self.rest > 0
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether a reset of the sender's is all that is left to be told, but for bytes that the receiver does not take.
    pub(super) fn is_broken(&self, now: Duration, mischief: &Mischief) -> bool {
        matches!(self.end, Some((End::Reset, came)) if !mischief.stalled && came + mischief.later(self.gone, self.seed) <= now)
    }

    /// Bytes have come.
    pub(super) fn push(&mut self, bytes: &[u8], now: Duration) {
        self.waiting.extend(bytes);
        let until = self.gone + self.waiting.len() as u64;
        match self.arrivals.back_mut() {
            Some(last) if last.1 == now => last.0 = until,
            _ => self.arrivals.push_back((until, now)),
        }
    }

    /// The sender's stream is over; the first end counts.
    pub(super) fn end(&mut self, end: End, now: Duration) {
        self.end.get_or_insert((end, now));
    }

    /// Throws away what waits, and tells how much that was.
    pub(super) fn clear(&mut self) -> usize {
        let lost = self.waiting.len();
        (self.waiting, self.arrivals) = (VecDeque::new(), VecDeque::new());
        (self.rest, self.glued) = (0, 0);
        lost
    }

    /// What is to be done now.
    pub(super) fn next(&mut self, now: Duration, mischief: &Mischief) -> Step {
        if self.split != mischief.split {
            self.split = mischief.split.clone();
            (self.turn, self.rest) = (0, 0);
        }
        if mischief.stalled {
            return Step::Wait(None);
        }
        let here = Some(self.gone);
        if mischief.reset_at == here {
            return Step::Reset { mischief: true };
        }
        if mischief.close_at == here {
            return Step::Close;
        }
        if mischief.finish_at == here {
            return Step::Finish { mischief: true };
        }
        if self.waiting.is_empty() {
            return self.at_the_end(now, mischief);
        }
        if !self.is_glued(mischief) {
            return Step::Wait(None);
        }
        let whole = mischief.glue > 1;
        let most = self.most(whole, mischief);
        let (due, next) = self.due(now, if whole { self.glued } else { most }, mischief);
        if due == 0 || (whole && due < self.glued) {
            return Step::Wait(next);
        }
        let count = due.min(most);
        if let Some(rate) = mischief.rate {
            let leaves = self.leaves(count, rate.get(), mischief);
            if now < leaves {
                return Step::Wait(Some(leaves));
            }
        }
        Step::Send(count)
    }

    /// How many bytes the next piece has at the most, were all of them due.
    fn most(&self, whole: bool, mischief: &Mischief) -> usize {
        let ends = [mischief.reset_at, mischief.close_at, mischief.finish_at];
        let limit = ends.into_iter().flatten().filter_map(|at| at.checked_sub(self.gone)).min().unwrap_or(u64::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let size = if self.rest > 0 { Some(self.rest) } else { mischief.piece(self.turn, self.seed) };
        match (size, mischief.rate) {
            (_, _) if whole => limit.min(size.unwrap_or(usize::MAX)).min(self.glued),
            (Some(size), _) => limit.min(size),
            (None, Some(rate)) => {
                let tick = rate.get().saturating_mul(TICK.as_millis() as u64) / 1000;
                limit.min(usize::try_from(tick).unwrap_or(usize::MAX).max(1))
            }
            (None, None) => limit,
        }
    }

    /// What remains when no byte waits.
    fn at_the_end(&self, now: Duration, mischief: &Mischief) -> Step {
        let Some((end, came)) = self.end else { return Step::Wait(None) };
        // An end is a segment of its own, and is as late as the bytes before it.
        let due = came + mischief.later(self.gone, self.seed);
        match end {
            _ if now < due => Step::Wait(Some(due)),
            End::Finish => Step::Finish { mischief: false },
            End::Reset => Step::Reset { mischief: false },
        }
    }

    /// Whether bytes may go as far as gluing is concerned.
    fn is_glued(&mut self, mischief: &Mischief) -> bool {
        if mischief.glue <= 1 {
            self.glued = 0;
        } else if self.glued == 0 && (self.waiting.len() >= mischief.glue.min(CAPACITY) || self.end.is_some()) {
            self.glued = self.waiting.len();
        }
        mischief.glue <= 1 || self.glued > 0
    }

    /// How many bytes may leave by the time of their arrival, and when the next ones may; more than are enough are not counted, since there may be as
    /// many arrivals as bytes.
    fn due(&self, now: Duration, enough: usize, mischief: &Mischief) -> (usize, Option<Duration>) {
        if mischief.delay.is_zero() && mischief.jitter.is_zero() {
            return (self.waiting.len(), None);
        }
        let mut from = self.gone;
        for &(until, came) in &self.arrivals {
            let due = came + mischief.later(from, self.seed);
            if due > now {
                return ((from - self.gone) as usize, Some(due));
            }
            from = until;
            if from - self.gone >= enough as u64 {
                return ((from - self.gone) as usize, None);
            }
        }
        (self.waiting.len(), None)
    }

    /// When a rate lets the last of the next so many bytes go.
    fn leaves(&self, count: usize, rate: u64, mischief: &Mischief) -> Duration {
        let came = self.arrivals.front().map_or(Duration::ZERO, |&(_, came)| came + mischief.later(self.gone, self.seed));
        self.busy.max(came) + Duration::from_secs_f64(count as f64 / rate as f64)
    }

    /// The first so many bytes, in one piece, with the bit changed that is to be changed.
    pub(super) fn piece(&mut self, count: usize, mischief: &Mischief) -> (&[u8], Option<Flip>) {
        let flip = self.flip(count, mischief);
        if self.waiting.as_slices().0.len() < count {
            self.waiting.make_contiguous();
        }
        (&self.waiting.as_slices().0[..count], flip)
    }

    fn flip(&mut self, count: usize, mischief: &Mischief) -> Option<Flip> {
        let at = mischief.flip_at.filter(|&at| self.flipped != Some(at))?;
        let place = at.checked_sub(self.gone).and_then(|place| usize::try_from(place).ok()).filter(|&place| place < count)?;
        let byte = self.waiting.get_mut(place)?;
        let was = *byte;
        *byte ^= 1 << (chance(self.seed, at) % 8);
        self.flipped = Some(at);
        Some(Flip { at, was, is: *byte })
    }

    /// The kernel took `count` of the `offered` bytes. Whether the piece is whole now.
    pub(super) fn sent(&mut self, count: usize, offered: usize, now: Duration, mischief: &Mischief) -> bool {
        if let Some(rate) = mischief.rate {
            self.busy = self.leaves(count, rate.get(), mischief).max(now.saturating_sub(CATCH_UP));
        }
        self.waiting.drain(..count);
        self.gone += count as u64;
        self.glued = self.glued.saturating_sub(count);
        while self.arrivals.front().is_some_and(|&(until, _)| until <= self.gone) {
            self.arrivals.pop_front();
        }
        if self.waiting.is_empty() && self.waiting.capacity() > CAPACITY / 4 {
            // What a stall had piled up is not kept for the next one.
            self.waiting = VecDeque::new();
        }
        if self.arrivals.is_empty() && self.arrivals.capacity() > CAPACITY / 64 {
            self.arrivals = VecDeque::new();
        }
        self.rest = offered - count;
        if self.rest == 0 {
            self.turn += 1;
        }
        self.rest == 0
    }
}
