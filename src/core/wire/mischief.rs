//! What a wire does to the bytes of one direction: settings, and nothing else. The defaults do nothing at all.

use std::num::NonZeroU64;
use std::time::Duration;

/// Into which pieces bytes are cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// Not at all.
    #[default]
    Not,
    /// Pieces of these sizes, in turn; there is at least one, and none is 0.
    Sizes(Vec<usize>),
    /// Sizes that the seed chooses: 1 to 1024 bytes, small ones as often as large ones.
    Random,
}

/// The settings of one direction. A position counts the bytes before it in the direction's stream: position 0 is before the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mischief {
    /// The pieces.
    pub split: Split,
    /// How long the next piece waits at the most for the receiver to read the one before; `None` for ever.
    pub hold: Option<Duration>,
    /// Bytes are held back until so many are there, or the sender has finished; 0 or 1 holds nothing back.
    pub glue: usize,
    /// Every byte leaves so much later than it came.
    pub delay: Duration,
    /// And up to so much more, which the seed chooses; the order is kept.
    pub jitter: Duration,
    /// Bytes a second.
    pub rate: Option<NonZeroU64>,
    /// Nothing leaves.
    pub stalled: bool,
    /// Whether the relay reads what the sender sends.
    pub reading: bool,
    /// The receiver is sent FIN at this position; what comes after it is thrown away.
    pub finish_at: Option<u64>,
    /// The relay closes both connections at this position.
    pub close_at: Option<u64>,
    /// The relay resets both connections at this position.
    pub reset_at: Option<u64>,
    /// One bit of the byte behind this position is changed.
    pub flip_at: Option<u64>,
}

impl Default for Mischief {
    fn default() -> Self {
        Self {
            split: Split::Not,
            hold: Some(HOLD),
            glue: 0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate: None,
            stalled: false,
            reading: true,
            finish_at: None,
            close_at: None,
            reset_at: None,
            flip_at: None,
        }
    }
}

/// The hold of a wire that was not told another.
pub const HOLD: Duration = Duration::from_secs(1);

impl Mischief {
    /// Whether bytes leave later, or more slowly, than they came.
    pub(super) fn is_timed(&self) -> bool {
        !self.delay.is_zero() || !self.jitter.is_zero() || self.rate.is_some()
    }

    /// The size of a piece, the how manieth it is counted from 0; `None` if bytes are not cut.
    pub(super) fn piece(&self, turn: u64, seed: u64) -> Option<usize> {
        match &self.split {
            Split::Not => None,
            Split::Sizes(sizes) => sizes.get((turn % sizes.len().max(1) as u64) as usize).copied(),
            Split::Random => {
                // A power of two first, then a size up to it: bytes alone are as likely as a thousand of them.
                let most = 1 << (chance(seed, turn) % 11);
                Some(1 + (chance(!seed, turn) % most) as usize)
            }
        }
    }

    /// How much later than it came a byte may leave, by its position.
    pub(super) fn later(&self, position: u64, seed: u64) -> Duration {
        if self.jitter.is_zero() {
            return self.delay;
        }
        // 53 bits are what a float holds.
        let part = (chance(seed, position) >> 11) as f64 / (1u64 << 53) as f64;
        self.delay + self.jitter.mul_f64(part)
    }
}

/// The number that a seed has for a position: the finalizer of SplitMix64 (Steele, Lea and Flood 2014). A function instead of a generator, so that it
/// does not matter in which order, or how often, somebody asks.
pub(super) fn chance(seed: u64, position: u64) -> u64 {
    let mut mixed = seed.wrapping_add(position.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
