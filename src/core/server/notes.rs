//! What people should see of a server's life: whom it dropped and why, and trouble with accepting. Kept until somebody asks, the newest of them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::SystemTime;

use crate::core::{reason, sys};

/// Why clients are dropped, in the words that the documentation of `Dropped` has.
pub(super) const TOO_SLOW: &str = "too slow";
pub(super) const IDLE: &str = "idle";
pub(super) const STOPPED: &str = "stopped";
pub(super) const GOES_ON: &str = "its handler goes on";

/// Notes that are kept until somebody asks for them: a stop with ten thousand clients tells of each.
const NOTES: usize = 1 << 16;

/// Something that people should see.
#[derive(Clone, Debug)]
pub enum Note {
    /// The server closed a client.
    Dropped {
        /// Its number.
        number: u32,
        /// Its name, if it had one.
        name: Option<String>,
        /// Its address.
        peer: SocketAddr,
        /// Why.
        reason: String,
        /// When.
        at: SystemTime,
        /// Bytes that its output buffer still held; whether those in the kernel arrive is not known.
        unsent: usize,
    },
    /// Accepting clients failed; it is tried again.
    Trouble {
        /// The kernel's number.
        code: i32,
        /// In words.
        message: String,
        /// When.
        at: SystemTime,
    },
}

/// The newest notes, and how many older ones had to go.
#[derive(Debug, Default)]
pub(super) struct Notes {
    newest: VecDeque<Note>,
    lost: u64,
}

impl Notes {
    pub(super) fn add(&mut self, note: Note) {
        if self.newest.len() == NOTES {
            self.newest.pop_front();
            self.lost += 1;
        }
        self.newest.push_back(note);
    }

    /// All of them, and how many older ones are lost.
    pub(super) fn taken(self) -> (Vec<Note>, u64) {
        (self.newest.into(), self.lost)
    }
}

/// A failed accept.
pub(super) fn trouble(error: &io::Error) -> Note {
    let why = if sys::is_out_of_descriptors(error) { "; clients wait until some are closed" } else { "" };
    Note::Trouble {
        code: error.raw_os_error().unwrap_or(0),
        message: format!("accept: {}{why}", reason::plain(error)),
        at: SystemTime::now(),
    }
}
