//! What a task in an event loop needs of a connection: to be told when a call is worth another try, and to send one message in several steps
//! without another's bytes between them. Nothing here sleeps.

use std::sync::Arc;

use super::Connection;
use super::halting::Halt;
use super::writing::{partly, too_long};
use crate::core::error::{Error, Result};
use crate::core::framing::Prefixed;
use crate::core::readiness::Readiness;
use crate::core::record::Call;
use crate::core::sys::Interest;
use crate::core::wait::{Stop, Wait};

/// A message on its way, of which a task hands over as much as the kernel takes, again and again.
#[derive(Clone, Copy, Debug)]
pub struct OnItsWay {
    /// The task's number, which no other's of this process is; not 0.
    pub task: u32,
    /// How many bytes the kernel has taken.
    pub sent: usize,
}

impl Connection {
    /// Asks for one event, to be told to an event loop, when a read is worth another try; gives the key. `None` once closed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ask_to_read(&self, readiness: &Arc<Readiness>) -> Result<Option<u32>> {
        let state = self.input.lock();
        // Under the lock: whoever has the turn, and ends it, finds this one waiting.
        self.gate.ask(readiness, Interest::Read, state.is_taken()).map_err(|error| self.failed("recv", error))
    }

    /// As [`ask_to_read`](Self::ask_to_read), for a send by the task with this number, or 0.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ask_to_write(&self, readiness: &Arc<Readiness>, task: u32) -> Result<Option<u32>> {
        let state = self.output.lock();
        let turn = state.is_taken() && !state.is_turn_of(task);
        self.gate.ask(readiness, Interest::Write, turn).map_err(|error| self.failed("send", error))
    }

    /// Hands over as many of all bytes as the kernel takes now. `false` is not yet all: nobody else can send until the task comes again with the rest,
    /// or [gives up](Self::give_up).
    ///
    /// # Errors
    /// As [`sendall`](Self::sendall); the message is not on its way any more then.
    pub fn sendall_on(&self, data: &[u8], way: &mut OnItsWay, wait: &mut Wait<'_>) -> Result<bool> {
        self.write_on("sendall", [data, &[]], way, wait)
    }

    /// As [`sendall_on`](Self::sendall_on), for a payload behind its length.
    ///
    /// # Errors
    /// As [`send_frame`](Self::send_frame).
    pub fn send_frame_on(&self, payload: &[u8], framing: &Prefixed, way: &mut OnItsWay, wait: &mut Wait<'_>) -> Result<bool> {
        let header = framing.header(payload.len()).ok_or_else(|| too_long(payload, framing))?;
        self.write_on("send_frame", [&header, payload], way, wait)
    }

    fn write_on(&self, doing: &'static str, parts: [&[u8]; 2], way: &mut OnItsWay, wait: &mut Wait<'_>) -> Result<bool> {
        let call = Call::begin();
        let result = self.step_on(doing, parts, way, wait);
        match call {
            Some(call) if matches!(result, Ok(false)) => call.pause(doing, self.whose()),
            Some(call) => self.tell(call, doing, result.as_ref().err()),
            None => {}
        }
        result
    }

    fn step_on(&self, doing: &'static str, parts: [&[u8]; 2], way: &mut OnItsWay, wait: &mut Wait<'_>) -> Result<bool> {
        let total = parts[0].len() + parts[1].len();
        if way.sent > total {
            self.give_up(way.task);
            return Err(Error::Invalid(format!("{doing}: the data became shorter while it was being sent")));
        }
        let result = match self.output.lock_for(way.task, &self.gate, wait) {
            Ok(mut state) => {
                let result = match self.driven() {
                    None => {
                        let before = way.sent;
                        let result = self.write_in_turn(doing, parts, wait, &mut state, true, &mut way.sent);
                        self.note_sent(&state, parts, before, way.sent);
                        result
                    }
                    Some(driven) => self.leave_to(driven, doing, parts, wait, &mut state, true, &mut way.sent),
                };
                if matches!(result, Err(Error::WouldBlock(_))) && wait.deadline.is_attempt() {
                    state.leave_turn_to(way.task);
                    return Ok(false);
                }
                self.output.end_turn(&mut state);
                result
            }
            Err(Stop::WouldBlock) if wait.deadline.is_attempt() => return Ok(false),
            Err(stop) => Err(self.stopped(doing, stop, wait)),
        };
        self.give_up(way.task);
        self.gate.stir(Interest::Write, true);
        result.map(|()| true).map_err(|cause| partly(way.sent, total, cause))
    }

    /// The task does not come again: others may send.
    pub fn give_up(&self, task: u32) {
        let mut state = self.output.lock();
        if state.is_turn_of(task) {
            self.output.end_turn(&mut state);
            drop(state);
            self.gate.stir(Interest::Write, true);
        }
    }

    /// Whether a wait for bytes is to begin with tries in quick succession; [`spun`](Self::spun) tells how that went.
    pub fn spins(&self) -> bool {
        self.spin.pays()
    }

    /// Whether the tries came to something.
    pub fn spun(&self, hit: bool) {
        if hit { self.spin.hit() } else { self.spin.missed() }
    }

    /// A read is over. If it had to give up at once, nothing is left behind for others; but it may have had the turn, for a moment.
    #[inline]
    pub(super) fn stir_readers<T>(&self, result: &std::result::Result<T, Halt>) {
        if self.gate.is_awaited() {
            self.gate.stir(Interest::Read, matches!(result, Err(Halt::Stop(Stop::WouldBlock))));
        }
    }
}
