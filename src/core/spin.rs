//! A short wait without sleeping, where a reply usually comes within microseconds. It only decides and counts; the tries are the caller's.
//!
//! A reader that sleeps pays 25 to 30 µs to be woken on another core, more than the reply itself takes on loopback. Trying again for a few
//! microseconds saves that; where the reply takes longer the tries are wasted. So it goes on while four of five spins end with a reply, and
//! otherwise only asks again now and then, ever more rarely, whether that has changed.

use std::sync::atomic::{AtomicBool, AtomicI16, AtomicU8, AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A peer that sleeps takes 25 to 35 µs to wake and some more to answer: with 50 µs this side often gave up just before the reply, and then both
/// slept (64 B ping-pong on two cores: 50 µs a trip instead of 25).
const BUDGET: Duration = Duration::from_micros(80);
/// A spin that missed costs as much as four hits save.
const MISS: i16 = 4;
/// The most that earlier hits can make up for.
const BEST: i16 = 16;
/// Waits between two questions whether spinning pays, once it does not: from this many …
const SOONEST: u16 = 8;
/// … to this many.
const RAREST: u16 = 256;

/// The answer after the next: see [`Spin::gives_way_first`].
const AFTER_NEXT: u8 = 2;

/// What recent waits of one direction of one connection have taught.
#[derive(Debug)]
pub(crate) struct Spin {
    /// Above zero it pays.
    score: AtomicI16,
    /// Waits to let pass before the next question, while it does not pay.
    skip: AtomicU16,
    /// How many were let pass the last time.
    pause: AtomicU16,
    /// Whether something was sent since the last read.
    asked: AtomicBool,
    /// How many answers from now the one is before which a read gives way; 0 is none.
    answers_until_giving_way: AtomicU8,
}

impl Default for Spin {
    fn default() -> Self {
        Self {
            score: AtomicI16::new(MISS),
            skip: AtomicU16::new(0),
            pause: AtomicU16::new(SOONEST / 2),
            asked: AtomicBool::new(false),
            answers_until_giving_way: AtomicU8::new(0),
        }
    }
}

impl Spin {
    /// Tries again and again for a short while, giving way to other threads between; true once `done` is.
    pub(crate) fn run(&self, done: &mut dyn FnMut() -> bool) -> bool {
        if !self.pays() {
            return false;
        }
        // On one core the first try after giving way is the one that counts; the clock is asked only if it comes to nothing.
        let mut start = None;
        loop {
            std::thread::yield_now();
            if done() {
                self.hit();
                return true;
            }
            if start.get_or_insert_with(Instant::now).elapsed() >= BUDGET {
                self.missed();
                return false;
            }
        }
    }

    /// Whether this wait is to begin with a spin; who is told so tells how it went.
    pub(crate) fn pays(&self) -> bool {
        let skip = self.skip.load(Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Relaxed);
        }
        skip == 0
    }

    /// Whether a read that begins is to give way before its first try.
    ///
    /// On one core a peer that sleeps in its read takes the core from us when our send wakes it, so that its answer is here when we ask, unless the
    /// scheduler still owes us time (EEVDF: we are eligible). Then the first try comes to nothing, and that try and the wait put us in the peer's
    /// debt: the next answer is here at once, and the one after that is not, and so on. But who gives way while it is owed time gives up all of it
    /// (as Linux 6.18 has it), which is worth hundreds of trips. After an answer that was not here that is the one after the next, and before its
    /// first try, since the try alone uses up what is owed. (64 B ping-pong on one core: 45 of 100 first tries found nothing, now 10; 2 % of the time.)
    ///
    /// Only the first read after a send asks for an answer. Any other may find its bytes here, and to give way to a busy program costs milliseconds.
    pub(crate) fn gives_way_first(&self) -> bool {
        if !self.asked.load(Relaxed) {
            return false;
        }
        self.asked.store(false, Relaxed);
        let left = self.answers_until_giving_way.load(Relaxed);
        if left == 0 {
            return false;
        }
        self.answers_until_giving_way.store(left - 1, Relaxed);
        left == 1 && self.skip.load(Relaxed) == 0
    }

    /// Something was sent: the next read is for its answer.
    pub(crate) fn asked(&self) {
        self.asked.store(true, Relaxed);
    }

    /// A read's first try found nothing.
    pub(crate) fn found_nothing(&self) {
        self.answers_until_giving_way.store(AFTER_NEXT, Relaxed);
    }

    /// It ended with a reply.
    pub(crate) fn hit(&self) {
        let score = self.score.load(Relaxed);
        self.score.store((score + 1).clamp(1, BEST), Relaxed);
        self.pause.store(SOONEST / 2, Relaxed);
    }

    /// It ended without.
    pub(crate) fn missed(&self) {
        let score = (self.score.load(Relaxed) - MISS).max(0);
        self.score.store(score, Relaxed);
        if score == 0 {
            let pause = (self.pause.load(Relaxed) * 2).min(RAREST);
            self.pause.store(pause, Relaxed);
            self.skip.store(pause, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_make_it_rare_and_a_hit_brings_it_back() {
        let spin = Spin::default();
        let mut spins = 0;
        for _ in 0..1000 {
            let mut first = true;
            spin.run(&mut || {
                spins += u32::from(std::mem::take(&mut first));
                false
            });
        }
        assert!(spins <= 12, "{spins} spins in 1000 waits that all missed");
        while !spin.run(&mut || true) {}
        assert!(spin.run(&mut || true), "after a hit the next wait spins again");
    }

    #[test]
    fn the_read_for_the_answer_after_the_next_gives_way_first() {
        let spin = Spin::default();
        let trip = || {
            spin.asked();
            spin.gives_way_first()
        };
        assert!(!trip());
        spin.found_nothing();
        assert!(!trip(), "the next answer is here");
        assert!(!spin.gives_way_first(), "nothing was asked: the rest of an answer may be here");
        assert!(trip());
        assert!(!trip(), "and from then on all are");
        // Across two cores no first try finds anything, and to give way would be for nothing.
        for _ in 0..10 {
            spin.found_nothing();
            assert!(!trip());
        }
        // Nor where answers come so late that no wait spins.
        while spin.pays() {
            spin.missed();
        }
        spin.found_nothing();
        assert!(!trip());
        assert!(!trip());
    }
}
