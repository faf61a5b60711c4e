//! How this program ended its use of a socket.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ended {
    /// It did not.
    Not,
    /// By close(), or because the object was dropped.
    Closed,
    /// By abort().
    Aborted,
    /// It was given away.
    Detached,
}

/// An [`Ended`] that threads share.
#[derive(Debug)]
pub(super) struct HowEnded(AtomicU8);

impl Default for HowEnded {
    fn default() -> Self {
        Self(AtomicU8::new(Ended::Not as u8))
    }
}

impl HowEnded {
    pub(super) fn set(&self, how: Ended) {
        self.0.store(how as u8, Relaxed);
    }

    /// Whether it ended so.
    pub(super) fn is(&self, how: Ended) -> bool {
        self.0.load(Relaxed) == how as u8
    }

    /// The participle for a message: "it was closed".
    pub(super) fn word(&self) -> &'static str {
        match self.0.load(Relaxed) {
            aborted if aborted == Ended::Aborted as u8 => "aborted",
            detached if detached == Ended::Detached as u8 => "detached",
            _ => "closed",
        }
    }
}
