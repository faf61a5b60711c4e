//! Why a read did not end with bytes, in words. A read that waits for a frame says how much of it has come; whoever debugs a protocol
//! looks at the wrong side otherwise.

use std::sync::atomic::Ordering::Relaxed;

use super::Connection;
use crate::core::error::Error;
use crate::core::framing::Framing;
use crate::core::wait::{Stop, Wait};

/// The longest piece of a partial frame that a message shows, in bytes.
const SHOWN: usize = 40;

/// What ended a read.
pub(super) enum Halt {
    /// The wait.
    Stop(Stop),
    /// Anything else, in words already.
    Failed(Error),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Connection {
    /// A read of what is here.
    pub(super) fn halted(&self, doing: &'static str, halt: Halt, wait: &Wait<'_>) -> Error {
        match halt {
            Halt::Stop(stop) => self.stopped(doing, stop, wait),
            Halt::Failed(error) => error,
        }
    }

    /// A read of a frame.
    pub(super) fn frame_halted(&self, doing: &'static str, halt: Halt, wait: &Wait<'_>, framing: &impl Framing) -> Error {
        let held = || {
            let state = self.input.lock();
            let bytes = state.memory.as_slice();
            (!bytes.is_empty()).then(|| (bytes.len(), shown(bytes)))
        };
        let held = if matches!(halt, Halt::Stop(Stop::TimedOut)) { held() } else { None };
        match (halt, held) {
            (Halt::Stop(Stop::TimedOut), Some((count, bytes))) => {
                let seconds = wait.deadline.timeout().as_secs().unwrap_or(f64::INFINITY);
                let hint = framing.hint();
                let (plural, have, are) = if count == 1 { ("", "has", "is") } else { ("s", "have", "are") };
                Error::TimedOut(format!(
                    "{doing} on {self} timed out after {seconds} s: {} has not come whole; {count} byte{plural} {have}, and {are} still in the \
                     input buffer: {bytes}{hint}",
                    framing.name()
                ))
            }
            (halt, _) => self.halted(doing, halt, wait),
        }
    }

    /// The stream ended inside a frame.
    pub(super) fn cut_off(&self, doing: &str, framing: &impl Framing, partial: &[u8]) -> Error {
        let (plural, are) = if partial.len() == 1 { ("", "it is") } else { ("s", "they are") };
        Error::Incomplete {
            message: format!(
                "{doing}: {} after {} byte{plural}, before {} had come whole; {are} in .partial and still in the input \
                 buffer",
                self.end_of_stream(),
                partial.len(),
                framing.name()
            ),
            partial: partial.to_vec(),
            expected: framing.expected(),
        }
    }

    /// The stream ended where a frame would begin, and the call has no value that says so.
    pub fn ended(&self, doing: &str, framing: &impl Framing) -> Error {
        Error::Incomplete {
            message: format!("{doing}: {}; {} was awaited and nothing of it came", self.end_of_stream(), framing.name()),
            partial: Vec::new(),
            expected: framing.expected(),
        }
    }

    /// Who has ended the stream.
    fn end_of_stream(&self) -> String {
        if self.receiving_over.load(Relaxed) {
            format!("{self} was shut down for receiving by this program")
        } else {
            format!("the peer of {self} finished (FIN)")
        }
    }

    pub(super) fn too_long(&self, doing: &str, framing: &impl Framing, bytes: &[u8]) -> Error {
        Error::TooLong {
            message: format!(
                "{doing}: {} on {self}; the bytes are still in the input buffer: allow more, or take them with recv()",
                framing.too_long(bytes)
            ),
            limit: framing.limit(),
        }
    }
}

/// Bytes as Python writes them, the first of them if they are many.
fn shown(bytes: &[u8]) -> String {
    let dots = if bytes.len() > SHOWN { "..." } else { "" };
    format!("b\"{}\"{dots}", bytes[..bytes.len().min(SHOWN)].escape_ascii())
}
