//! Taking bytes in. Every call goes one way: take from what is here; if that is not enough, one non-blocking read; if that would block,
//! sleep and begin again. Bytes leave the buffer only when a call has all that it was asked for, so that nothing is lost when it fails.

use std::io;
use std::mem::MaybeUninit;

use parking_lot::MutexGuard;
use socket2::Socket;

use super::Connection;
use super::assembly::Assembly;
use super::direction::{Direction, Guard, Reading};
use super::filling::{Ahead, Direct, Fill, InPlace, Peek};
use super::halting::Halt;
use super::telling::note_head;
use crate::core::error::{Error, Result};
use crate::core::framing::{Exactly, Found, Framing};
use crate::core::gate::Gate;
use crate::core::record::{self, Head, Way};
use crate::core::sys::{self, Interest};
use crate::core::wait::{Stop, Wait};

/// The most that may be put back, in bytes.
pub const PUT_BACK_LIMIT: usize = 64 << 20;

/// After so many reads without a sleep the caller is asked whether to go on.
const READS_BETWEEN_CHECKS: u32 = 64;

/// Takes an answer out of what is here, if it suffices: the state, what the last read filled, and whether that was the end of the stream.
type Take<'a, F, T> = dyn FnMut(&mut Reading, &mut F, bool) -> Result<Option<T>> + 'a;

impl Connection {
    /// Takes what is here into `target`, as soon as there is anything; 0 is the end of the stream (recv(2)).
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::TimedOut`], [`Error::WouldBlock`], or the kernel's, ECONNRESET above all.
    pub fn recv(&self, doing: &'static str, target: &mut [MaybeUninit<u8>], wait: &mut Wait<'_>) -> Result<usize> {
        self.recorded(doing, || {
            let taken = self.read(doing, wait, &mut Direct::new(target), |state, direct, _| {
                if let Some(got) = direct.got {
                    self.count_read(state, got);
                }
                Ok(direct.got)
            });
            taken.map_err(|halt| self.halted(doing, halt, wait))
        })
    }

    /// Copies what is here into `target`, as soon as there is anything, and leaves it where it is; 0 is the end of the stream (MSG_PEEK).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn peek(&self, target: &mut [MaybeUninit<u8>], wait: &mut Wait<'_>) -> Result<usize> {
        self.recorded("peek", || {
            let seen = self.read("peek", wait, &mut Peek::new(target), |_, peek, _| Ok(peek.got));
            seen.map_err(|halt| self.halted("peek", halt, wait))
        })
    }

    /// A frame that is whole in Rust memory already, if nobody is before this caller. The common case of a stream of small frames, made as short as
    /// it can be: one lock, one search, one copy (a line of 32 bytes: 35 ns less than the way of a call that may wait). `None` says nothing
    /// about the stream; [`recv_frame`](Self::recv_frame) does.
    #[inline(always)]
    pub fn frame_at_hand<T>(&self, doing: &'static str, framing: &mut impl Framing, deliver: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let mut state = self.input.lock();
        if state.is_taken() || self.driven.is_some() {
            return None;
        }
        let bytes = state.memory.as_slice();
        let Found::Whole { payload, length } = framing.look(bytes, state.memory.epoch()) else { return None };
        let delivered = deliver(&bytes[payload])?;
        let told = record::is_on().then(|| (state.position(), Head::of(&bytes[..length]), length));
        state.memory.consume(length);
        state.read += length as u64;
        if let Some(told) = told {
            drop(state);
            self.tell_at_hand(doing, told);
        }
        Some(delivered)
    }

    /// Takes one whole frame and hands it to `deliver`, which must only copy it. `None` is an end of the stream where a frame would begin.
    /// The connection may read ahead of the frame into Rust memory, 256 KiB at the most.
    ///
    /// # Errors
    /// [`Error::Incomplete`] and [`Error::TooLong`] besides those of [`recv`](Self::recv); all bytes stay in the buffer then.
    pub fn recv_frame<T>(
        &self,
        doing: &'static str,
        framing: &mut impl Framing,
        wait: &mut Wait<'_>,
        mut deliver: impl FnMut(&[u8]) -> Result<T>,
    ) -> Result<Option<T>> {
        self.recorded(doing, || {
            let received = self.read(doing, wait, &mut Ahead::default(), |state, ahead, ended| {
                let bytes = state.memory.as_slice();
                let mut found = framing.look(bytes, state.memory.epoch());
                if ended && matches!(found, Found::More(_)) {
                    if bytes.is_empty() {
                        return Ok(Some(None));
                    }
                    found = framing.at_end(bytes).ok_or_else(|| self.cut_off(doing, framing, bytes))?;
                }
                match found {
                    Found::Whole { payload, length } => {
                        let delivered = deliver(&bytes[payload])?;
                        note_head(&bytes[..length]);
                        state.memory.consume(length);
                        self.count_read(state, length);
                        Ok(Some(Some(delivered)))
                    }
                    Found::More(missing) => {
                        ahead.missing = missing;
                        Ok(None)
                    }
                    Found::TooLong => Err(self.too_long(doing, framing, bytes)),
                }
            });
            received.map_err(|halt| self.frame_halted(doing, halt, wait, framing))
        })
    }

    /// Fills `target` completely, without a copy in between. `false` is an end of the stream before the first byte.
    ///
    /// # Errors
    /// As [`recv_frame`](Self::recv_frame); what had come is in the input buffer then.
    pub fn recv_exactly_into(&self, target: &mut [MaybeUninit<u8>], wait: &mut Wait<'_>) -> Result<bool> {
        let doing = "recv_exactly";
        let size = target.len();
        // `loan` outlives `state`, in whose drop the assembly ends.
        let (assembly, _loan) = Assembly::new(target);
        self.recorded(doing, || {
            let received = self.assemble(doing, assembly, wait, size);
            self.stir_readers(&received);
            received.map_err(|halt| self.frame_halted(doing, halt, wait, &Exactly(size)))
        })
    }

    fn assemble(&self, doing: &'static str, assembly: Assembly, wait: &mut Wait<'_>, size: usize) -> std::result::Result<bool, Halt> {
        self.not_driven(doing)?;
        let state = self.input.lock_in_turn(&self.gate, wait)?;
        let mut state = Assembling { state, direction: &self.input };
        state.begin(assembly);
        self.read_in_turn(doing, wait, &mut state.state, &mut InPlace, &mut |state, _, ended| {
            let Some(assembly) = &mut state.assembly else { return Ok(Some(false)) };
            if assembly.is_full() {
                note_head(assembly.filled());
                state.assembly = None;
                self.count_read(state, size);
                return Ok(Some(true));
            }
            match assembly.filled() {
                _ if !ended => Ok(None),
                [] => Ok(Some(false)),
                partial => Err(self.cut_off(doing, &Exactly(size), partial)),
            }
        })
    }

    /// Puts bytes back in front of the input buffer: the next read returns them first.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Held`] if Rust memory would exceed [`PUT_BACK_LIMIT`].
    pub fn unrecv(&self, bytes: &[u8]) -> Result<()> {
        self.recorded("unrecv", || self.put_back(bytes))
    }

    fn put_back(&self, bytes: &[u8]) -> Result<()> {
        self.not_driven("unrecv")?;
        let _inside = self.enter("unrecv")?;
        let mut state = self.input.lock();
        let held = state.memory.len();
        if bytes.len().saturating_add(held) > PUT_BACK_LIMIT {
            return Err(Error::Held(format!(
                "unrecv: {} bytes on top of the {held} in Rust memory are more than the limit of {PUT_BACK_LIMIT}; nothing was put back",
                bytes.len()
            )));
        }
        state.memory.put_back(bytes);
        state.put_back += bytes.len() as u64;
        note_head(bytes);
        self.note_bytes(Way::Back, state.position(), bytes.len());
        drop(state);
        self.gate.nudge();
        Ok(())
    }

    /// Counts bytes that the program gets, and notes their place.
    fn count_read(&self, state: &mut Reading, count: usize) {
        self.note_bytes(Way::In, state.position(), count);
        state.read += count as u64;
    }

    fn read<F: Fill, T>(
        &self,
        doing: &'static str,
        wait: &mut Wait<'_>,
        filler: &mut F,
        mut take: impl FnMut(&mut Reading, &mut F, bool) -> Result<Option<T>>,
    ) -> std::result::Result<T, Halt> {
        self.not_driven(doing)?;
        if !wait.deadline.is_immediate() && self.spin.gives_way_first() {
            wait.patience.released(&mut std::thread::yield_now);
        }
        let mut state = self.input.lock_in_turn(&self.gate, wait)?;
        let result = self.read_in_turn(doing, wait, &mut state, filler, &mut take);
        self.input.end_turn(&mut state);
        drop(state);
        self.stir_readers(&result);
        result
    }

    /// The one way of every read. `take` is called with the lock held and must only copy.
    fn read_in_turn<F: Fill, T>(
        &self,
        doing: &'static str,
        wait: &mut Wait<'_>,
        state: &mut Guard<'_, Reading>,
        filler: &mut F,
        take: &mut Take<'_, F, T>,
    ) -> std::result::Result<T, Halt> {
        if let Some(whole) = take(state, filler, false)? {
            return Ok(whole);
        }
        let inside = self.enter(doing)?;
        let socket = &**inside;
        let mut reads = 0;
        let mut emptied = false;
        loop {
            // A bulk read that did not get all has emptied the queue: to try again at once would be a system call for nothing.
            let mut filled = if std::mem::take(&mut emptied) {
                Err(io::ErrorKind::WouldBlock.into())
            } else if filler.is_large(state) {
                // The copy takes long enough to let others run meanwhile.
                let mut filled = Ok(0);
                state.take_turn();
                MutexGuard::unlocked(state, || {
                    wait.patience.released(&mut || filled = self.fill(&mut self.input.lock(), filler, socket));
                });
                filled
            } else {
                self.fill(state, filler, socket)
            };
            if filled.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                state.take_turn();
                let spin = (!filler.is_bulk(state)).then_some(&self.spin);
                if reads == 0 {
                    self.spin.found_nothing();
                }
                let gathered = filler.awaited(state).filter(|_| !wait.deadline.is_immediate());
                let waited = MutexGuard::unlocked(state, || {
                    let _until_it_ends = gathered.map(|count| LowWater::set(&self.gate, socket, count));
                    self.gate.wait(socket, Interest::Read, wait, spin, &mut || {
                        filled = self.fill(&mut self.input.lock(), filler, socket);
                        !filled.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
                    })
                });
                waited?;
            }
            let ended = match filled {
                Ok(count) => {
                    emptied = filler.is_bulk(state);
                    if count == 0 {
                        record::note(|notes| notes.end_seen = true);
                    }
                    count == 0
                }
                // Nothing from the kernel; but bytes may have been put back meanwhile.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => false,
                Err(error) => return Err(Halt::Failed(self.failed(doing, error))),
            };
            if let Some(whole) = take(state, filler, ended)? {
                return Ok(whole);
            }
            reads += 1;
            if reads % READS_BETWEEN_CHECKS == 0 {
                state.take_turn();
                MutexGuard::unlocked(state, || self.gate.check(wait))?;
                if !wait.deadline.is_immediate() && wait.deadline.remaining().is_some_and(|left| left.is_zero()) {
                    return Err(Halt::Stop(Stop::TimedOut));
                }
            }
        }
    }

    /// One non-blocking read. The kernel tells of a reset or another fatal error once and then of an end of stream; here it stays an error.
    fn fill<F: Fill>(&self, state: &mut Reading, filler: &mut F, socket: &Socket) -> io::Result<usize> {
        match filler.fill(state, socket) {
            Ok(0) => self.broken().map_or(Ok(0), Err),
            Err(error) => {
                self.remember(&error);
                Err(error)
            }
            filled => filled,
        }
    }
}

/// How many bytes make the socket readable, while a bulk read waits. An end, an error, or a buffer that can hold no more wakes it all the same
/// (`tcp_stream_is_readable` in the kernel). Where the system refuses, the wait is as any other.
struct LowWater<'a>(&'a Gate, &'a Socket);

impl<'a> LowWater<'a> {
    fn set(gate: &'a Gate, socket: &'a Socket, count: usize) -> Self {
        let _or_one = sys::set_low_water(socket, count);
        Self(gate, socket)
    }
}

impl Drop for LowWater<'_> {
    fn drop(&mut self) {
        // Closed meanwhile, by a signal handler, the descriptor's number may be another's.
        if self.0.is_open() {
            let _it_was_one = sys::set_low_water(self.1, 1);
        }
    }
}

/// The lock of the reading direction while a caller's memory is filled in place. When it ends, a part that did not become whole goes back.
struct Assembling<'a> {
    state: Guard<'a, Reading>,
    direction: &'a Direction<Reading>,
}

impl Assembling<'_> {
    fn begin(&mut self, mut assembly: Assembly) {
        let count = self.state.memory.take_into(assembly.rest());
        assembly.advance(count);
        self.state.assembly = Some(Box::new(assembly));
    }
}

impl Drop for Assembling<'_> {
    fn drop(&mut self) {
        if let Some(assembly) = self.state.assembly.take() {
            self.state.memory.put_back(assembly.filled());
        }
        self.direction.end_turn(&mut self.state);
    }
}
