//! A short wait without sleeping, where a reply usually comes within microseconds. It only decides and counts; the tries are the caller's.
//!
//! A reader that sleeps pays 25 to 30 µs to be woken on another core, more than the reply itself takes on loopback. Trying again for a few
//! microseconds saves that; where the reply takes longer the tries are wasted, so every miss makes the next spin rarer (1 in 2, 4, … 256 waits).

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Twice the wake-up it can save: past that, sleeping would have been the better bet.
const BUDGET: Duration = Duration::from_micros(50);
const RAREST: u32 = 8;

/// What recent waits of one direction of one connection have taught.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    /// Waits to let pass before the next spin.
    skip: AtomicU32,
    /// Spins in a row that came to nothing.
    misses: AtomicU32,
}

impl Spin {
    /// Tries again and again for a short while, giving way to other threads between; true once `done` is.
    pub(crate) fn run(&self, done: &mut dyn FnMut() -> bool) -> bool {
        let skip = self.skip.load(Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Relaxed);
            return false;
        }
        let start = Instant::now();
        loop {
            std::thread::yield_now();
            if done() {
                self.misses.store(0, Relaxed);
                return true;
            }
            if start.elapsed() >= BUDGET {
                break;
            }
        }
        let misses = (self.misses.load(Relaxed) + 1).min(RAREST);
        self.misses.store(misses, Relaxed);
        self.skip.store((1 << misses) - 1, Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_make_it_rarer_and_a_hit_brings_it_back() {
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
}
