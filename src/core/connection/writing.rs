//! Handing bytes to the kernel. What it takes is counted, and its last part copied, under the lock of this direction, so that a view of the
//! output buffer always fits the bytes.

use std::io::{self, IoSlice};

use parking_lot::MutexGuard;
use socket2::Socket;

use super::Connection;
use super::direction::{Guard, Writing};
use super::telling::note_head;
use crate::core::error::{Error, Result};
use crate::core::framing::Prefixed;
use crate::core::record::{self, Way};
use crate::core::sys::{Interest, SEND_FLAGS};
use crate::core::wait::{Stop, Wait};

/// From here on the kernel's copy takes longer than letting go of the interpreter and taking it again.
const LARGE: usize = 64 << 10;

impl Connection {
    /// Hands over as many bytes as the kernel takes at once, at least one, and tells how many (send(2)).
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::TimedOut`], [`Error::WouldBlock`], or the kernel's: EPIPE, ECONNRESET.
    pub fn send(&self, data: &[u8], wait: &mut Wait<'_>) -> Result<usize> {
        self.write("send", [data, &[]], wait, false)
    }

    /// Hands over all bytes; no other thread's come between.
    ///
    /// # Errors
    /// As [`send`](Self::send), as the cause of an [`Error::Partly`] that tells how far it came.
    pub fn sendall(&self, data: &[u8], wait: &mut Wait<'_>) -> Result<()> {
        self.write("sendall", [data, &[]], wait, true).map(drop)
    }

    /// Hands over a payload behind its length, in one piece where it fits.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the prefix cannot hold the length; else as [`sendall`](Self::sendall).
    pub fn send_frame(&self, payload: &[u8], framing: &Prefixed, wait: &mut Wait<'_>) -> Result<()> {
        let header = framing.header(payload.len()).ok_or_else(|| too_long(payload, framing))?;
        self.write("send_frame", [&header, payload], wait, true).map(drop)
    }

    #[inline(always)]
    fn write(&self, doing: &'static str, parts: [&[u8]; 2], wait: &mut Wait<'_>, all: bool) -> Result<usize> {
        self.recorded(doing, || self.write_out(doing, parts, wait, all))
    }

    #[inline(always)]
    fn write_out(&self, doing: &'static str, parts: [&[u8]; 2], wait: &mut Wait<'_>, all: bool) -> Result<usize> {
        let (total, mut sent) = (parts[0].len() + parts[1].len(), 0);
        let result = match self.output.lock_in_turn(&self.gate, wait) {
            Ok(mut state) => {
                let result = match self.driven() {
                    None => {
                        let result = self.write_in_turn(doing, parts, wait, &mut state, all, &mut sent);
                        if sent > 0 {
                            state.mark();
                            self.spin.asked();
                        }
                        self.note_sent(&state, parts, 0, sent);
                        result
                    }
                    Some(driven) => self.leave_to(driven, doing, parts, wait, &mut state, all, &mut sent),
                };
                self.output.end_turn(&mut state);
                if let Some(driven) = self.driven() {
                    self.let_follow(driven, &mut state);
                }
                result
            }
            Err(stop) => Err(self.stopped(doing, stop, wait)),
        };
        if self.gate.is_awaited() {
            self.gate.stir(Interest::Write, true);
        }
        match result {
            Ok(()) => Ok(sent),
            Err(cause) if all => Err(partly(sent, total, cause)),
            Err(cause) => Err(cause),
        }
    }

    /// Notes what the kernel took of these parts, from `from` to `sent`: nobody else's bytes came between.
    #[inline]
    pub(super) fn note_sent(&self, state: &Writing, parts: [&[u8]; 2], from: usize, sent: usize) {
        if record::is_on() && sent > from {
            self.note_sent_now(state, rest(parts, from), sent - from);
        }
    }

    #[cold]
    fn note_sent_now(&self, state: &Writing, [first, second]: [&[u8]; 2], count: usize) {
        let of_first = count.min(first.len());
        note_head(&first[..of_first]);
        note_head(&second[..count - of_first]);
        self.note_bytes(Way::Out, (state.sent - count as u64) as i64, count);
    }

    /// One call of the kernel's, and if that was not all that there is to do, as many more as it takes. What comes between it and a read for the
    /// answer is kept short: see `Spin::gives_way_first`. (Where the buffer is full, that is one call more, beside a wait.)
    #[inline(always)]
    pub(super) fn write_in_turn(
        &self,
        doing: &'static str,
        parts: [&[u8]; 2],
        wait: &mut Wait<'_>,
        state: &mut Guard<'_, Writing>,
        all: bool,
        sent: &mut usize,
    ) -> Result<()> {
        let total = parts[0].len() + parts[1].len();
        if *sent == 0 && (1..=LARGE).contains(&total) {
            match hand_over(state, &*self.enter(doing)?, parts) {
                Ok(count) => {
                    *sent = count;
                    if count == total || !all {
                        return Ok(());
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(self.failed(doing, error)),
            }
        }
        self.write_further(doing, parts, wait, state, all, sent)
    }

    /// The rest, or what is too large to be handed over with the interpreter held. Kept out of the usual way, which it would lengthen.
    #[inline(never)]
    fn write_further(
        &self,
        doing: &'static str,
        parts: [&[u8]; 2],
        wait: &mut Wait<'_>,
        state: &mut Guard<'_, Writing>,
        all: bool,
        sent: &mut usize,
    ) -> Result<()> {
        let inside = self.enter(doing)?;
        let socket = &**inside;
        let total = parts[0].len() + parts[1].len();
        loop {
            let [first, second] = rest(parts, *sent);
            if first.is_empty() && second.is_empty() {
                return Ok(());
            }
            let handed = if first.len() + second.len() > LARGE {
                let mut handed = Ok(0);
                state.take_turn();
                MutexGuard::unlocked(state, || {
                    wait.patience.released(&mut || handed = hand_over(&mut self.output.lock(), socket, [first, second]));
                    // With nothing more to do the signal is for Python to handle, right after the answer.
                    if all { self.gate.check(wait) } else { Ok(()) }
                })
                .map_err(|stop| {
                    // What the kernel took, or told, before the signal came counts all the same.
                    match &handed {
                        Ok(count) => *sent += count,
                        Err(error) => self.remember(error),
                    }
                    self.stopped(doing, stop, wait)
                })?;
                handed
            } else {
                hand_over(state, socket, [first, second])
            };
            match handed {
                Ok(count) => {
                    *sent += count;
                    if !all {
                        return Ok(());
                    }
                    if *sent < total && !wait.deadline.is_immediate() && wait.deadline.remaining().is_some_and(|left| left.is_zero()) {
                        return Err(self.stopped(doing, Stop::TimedOut, wait));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.take_turn();
                    MutexGuard::unlocked(state, || self.gate.wait(socket, Interest::Write, wait, None, &mut || false))
                        .map_err(|stop| self.stopped(doing, stop, wait))?;
                }
                Err(error) => return Err(self.failed(doing, error)),
            }
        }
    }
}

pub(super) fn partly(sent: usize, total: usize, cause: Error) -> Error {
    let cause = cause.and(&format!("; {sent} of {total} bytes had been handed to the kernel"));
    Error::Partly { sent, cause: Box::new(cause) }
}

pub(super) fn too_long(payload: &[u8], framing: &Prefixed) -> Error {
    let limit = framing.largest();
    Error::TooLong {
        message: format!(
            "send_frame: {} bytes do not fit behind this prefix, which counts to {limit}; use a wider prefix. Nothing was sent",
            payload.len()
        ),
        limit,
    }
}

/// What is left of two parts after `sent` bytes.
pub(super) fn rest([first, second]: [&[u8]; 2], sent: usize) -> [&[u8]; 2] {
    let from_first = sent.min(first.len());
    [&first[from_first..], &second[sent - from_first..]]
}

/// One non-blocking send.
#[inline(always)]
fn hand_over(state: &mut Writing, socket: &Socket, [first, second]: [&[u8]; 2]) -> io::Result<usize> {
    let count = match (first, second) {
        (only, []) | ([], only) => socket.send_with_flags(only, SEND_FLAGS)?,
        (first, second) => socket.send_vectored_with_flags(&[IoSlice::new(first), IoSlice::new(second)], SEND_FLAGS)?,
    };
    let of_first = count.min(first.len());
    state.handed_over(&first[..of_first]);
    if count > of_first {
        state.handed_over(&second[..count - of_first]);
    }
    Ok(count)
}
