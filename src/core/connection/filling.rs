//! The four ways in which one non-blocking read fills something: Rust memory, the caller's memory, an assembly, or nothing but a look.

use std::io;
use std::mem::MaybeUninit;

use socket2::Socket;

use super::direction::Reading;
use super::telling::note_head;
use crate::core::sys;

/// From here on the kernel's copy takes longer (6 µs) than letting go of the interpreter and taking it again.
const LARGE: usize = 64 << 10;

/// From here on the bytes themselves take longer than the wake-up that a spin could save.
const BULK: usize = 16 << 10;

/// From here on the kernel gathers what is missing (SO_RCVLOWAT) before it wakes this side, up to so much: recv_exactly of 1 MiB takes half the
/// processor time that it takes with a wake-up for every few segments.
const GATHERED: usize = 128 << 10;
const MOST_GATHERED: usize = 512 << 10;

/// One non-blocking read into somewhere.
pub(super) trait Fill: Send {
    /// Reads once, counts in `state.received` what left the kernel's queue, and tells how many bytes came; 0 is the end of the stream.
    fn fill(&mut self, state: &mut Reading, socket: &Socket) -> io::Result<usize>;

    /// Whether so much is awaited that a wake-up more or less does not matter, and to spin would only cost processor time.
    fn is_bulk(&self, _state: &mut Reading) -> bool {
        false
    }

    /// How many bytes are still awaited, if so many that it pays to let the kernel gather them before it wakes this side.
    fn awaited(&self, _state: &mut Reading) -> Option<usize> {
        None
    }

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
        let count = state.memory.fill(self.missing, |room| sys::read(socket, room))?;
        state.received += count as u64;
        Ok(count)
    }

    fn is_bulk(&self, _: &mut Reading) -> bool {
        self.missing >= BULK
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
    fn fill(&mut self, state: &mut Reading, socket: &Socket) -> io::Result<usize> {
        note_head(&state.memory.as_slice()[..self.target.len().min(state.memory.len())]);
        let held = state.memory.take_into(self.target);
        let count = after(held, &mut self.target[held..], socket, sys::recv)?;
        state.received += count as u64;
        self.got = Some(held + count);
        Ok(held + count)
    }

    fn is_large(&self, _: &mut Reading) -> bool {
        self.target.len() > LARGE
    }
}

/// One read behind `held` bytes that are there already. With something to give in any case, an empty queue, an end or an error is for a later
/// call to meet.
fn after(
    held: usize,
    rest: &mut [MaybeUninit<u8>],
    socket: &Socket,
    read: impl for<'m> FnOnce(&Socket, &'m mut [MaybeUninit<u8>]) -> io::Result<&'m [u8]>,
) -> io::Result<usize> {
    if rest.is_empty() || (held > 0 && sys::recv_queue(socket)?.unwrap_or(0) == 0) {
        return Ok(0);
    }
    let bytes = read(socket, rest)?;
    note_head(bytes);
    Ok(bytes.len())
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
        if !state.memory.is_empty() {
            // Put back while this read waited.
            let count = state.memory.take_into(assembly.rest());
            assembly.advance(count);
            return Ok(count);
        }
        let count = sys::recv(socket, assembly.rest())?.len();
        assembly.advance(count);
        state.received += count as u64;
        Ok(count)
    }

    fn is_large(&self, state: &mut Reading) -> bool {
        state.assembly.as_mut().is_some_and(|assembly| assembly.rest().len() > LARGE)
    }

    fn awaited(&self, state: &mut Reading) -> Option<usize> {
        let missing = state.assembly.as_mut()?.rest().len();
        (missing >= GATHERED).then_some(missing.min(MOST_GATHERED))
    }

    /// Only a read of 64 KiB or more is done in place. Its last bytes are no more urgent than its first.
    fn is_bulk(&self, _: &mut Reading) -> bool {
        true
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
    fn fill(&mut self, state: &mut Reading, socket: &Socket) -> io::Result<usize> {
        let held = state.memory.copy_to(self.target);
        let count = after(held, &mut self.target[held..], socket, sys::peek_into)?;
        self.got = Some(held + count);
        Ok(held + count)
    }
}
