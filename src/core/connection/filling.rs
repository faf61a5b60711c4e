//! The four ways in which one non-blocking read fills something: Rust memory, the caller's memory, an assembly, or nothing but a look.

use std::io;
use std::mem::MaybeUninit;

use socket2::Socket;

use super::direction::Reading;

/// From here on the kernel's copy takes longer (6 µs) than letting go of the interpreter and taking it again.
const LARGE: usize = 64 << 10;

/// One non-blocking read into somewhere.
pub(super) trait Fill: Send {
    /// Whether the bytes leave the kernel's queue.
    const TAKES: bool = true;

    /// Reads once and tells how many bytes came; 0 is the end of the stream.
    fn fill(&mut self, state: &mut Reading, socket: &Socket) -> io::Result<usize>;

    /// Whether the read may copy much.
    fn is_large(&self, _state: &mut Reading) -> bool {
        false
    }
}

/// Into Rust memory; `missing` is how much more the caller needs at least.
#[derive(Default)]
pub(super) struct Ahead {
    pub(super) missing: usize,
}

impl Fill for Ahead {
    fn fill(&mut self, state: &mut Reading, socket: &Socket) -> io::Result<usize> {
        state.memory.fill(socket, self.missing)
    }
}

/// Into the caller's memory.
pub(super) struct Direct<'m> {
    pub(super) target: &'m mut [MaybeUninit<u8>],
    pub(super) got: Option<usize>,
}

impl<'m> Direct<'m> {
    pub(super) fn new(target: &'m mut [MaybeUninit<u8>]) -> Self {
        Self { target, got: None }
    }
}

impl Fill for Direct<'_> {
    fn fill(&mut self, _: &mut Reading, socket: &Socket) -> io::Result<usize> {
        let count = socket.recv(self.target)?;
        self.got = Some(count);
        Ok(count)
    }

    fn is_large(&self, _: &mut Reading) -> bool {
        self.target.len() > LARGE
    }
}

/// Into the memory that `Reading::assembly` has borrowed.
pub(super) struct InPlace;

impl Fill for InPlace {
    fn fill(&mut self, state: &mut Reading, socket: &Socket) -> io::Result<usize> {
        let Some(assembly) = &mut state.assembly else { return Ok(0) };
        if assembly.is_full() {
            // Rust memory had it all.
            return Ok(0);
        }
        let count = socket.recv(assembly.rest())?;
        assembly.advance(count);
        Ok(count)
    }

    fn is_large(&self, state: &mut Reading) -> bool {
        state.assembly.as_mut().is_some_and(|assembly| assembly.rest().len() > LARGE)
    }
}

/// A look: Rust memory and the kernel's queue are copied and stay as they are.
pub(super) struct Peek<'m> {
    target: &'m mut [MaybeUninit<u8>],
    pub(super) got: Option<usize>,
}

impl<'m> Peek<'m> {
    pub(super) fn new(target: &'m mut [MaybeUninit<u8>]) -> Self {
        Self { target, got: None }
    }
}

impl Fill for Peek<'_> {
    const TAKES: bool = false;

    fn fill(&mut self, state: &mut Reading, socket: &Socket) -> io::Result<usize> {
        let held = state.memory.as_slice();
        for (to, from) in self.target.iter_mut().zip(held) {
            to.write(*from);
        }
        let count = held.len().min(self.target.len());
        let rest = &mut self.target[count..];
        // With something to show already, an empty queue or an error there is for a later call to meet.
        let more = match (rest.is_empty(), count) {
            (true, _) => 0,
            (false, 0) => socket.peek(rest)?,
            (false, _) if crate::core::sys::recv_queue(socket)?.unwrap_or(0) > 0 => socket.peek(rest)?,
            (false, _) => 0,
        };
        self.got = Some(count + more);
        Ok(count + more)
    }
}
