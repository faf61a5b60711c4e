//! What a connection tells a recording of its calls, and where in its streams their bytes stand. Off, it costs one relaxed load before
//! the call and one after it.

use socket2::Socket;

use super::Connection;
use crate::core::error::{Error, Result};
use crate::core::record::{self, Call, Failure, Head, Moved, Notes, Way, Whose};
use crate::core::state::TcpState;
use crate::core::sys;

/// Bytes that a socket had carried before it was adopted, as the kernel counted them: (sent, read). `None` where that cannot be told.
pub(super) type Adopted = Option<Box<Option<(i64, i64)>>>;

/// TCP_INFO counts segments' bytes, so what was repeated and what lies in the queues is taken off. Only before a FIN, which is counted too.
pub(super) fn carried(socket: &Socket) -> Option<(i64, i64)> {
    let info = sys::tcp_info(socket).ok()?;
    if !matches!(sys::tcp_state(socket), Ok(Some(TcpState::ESTABLISHED))) {
        return None;
    }
    let unsent = sys::send_queue_unsent(socket).ok()?? as u64;
    let unread = sys::recv_queue(socket).ok()?? as u64;
    let sent = info.bytes_sent?.checked_sub(info.bytes_retrans?)? + unsent;
    Some((sent as i64, info.bytes_received?.checked_sub(unread)? as i64))
}

impl Connection {
    /// Runs a call, and tells of it if anybody records.
    #[inline(always)]
    pub(super) fn recorded<T>(&self, doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if record::is_on() {
            return self.recorded_now(doing, work);
        }
        let result = work();
        if let Some(call) = Call::late() {
            self.tell(call, doing, result.as_ref().err());
        }
        result
    }

    /// Apart from the way that is taken when nobody records, which keeps nothing of a call while it works.
    #[cold]
    #[inline(never)]
    fn recorded_now<T>(&self, doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let call = Call::begin();
        let result = work();
        if let Some(call) = call {
            self.tell(call, doing, result.as_ref().err());
        }
        result
    }

    #[cold]
    pub(super) fn tell(&self, call: Call, doing: &'static str, error: Option<&Error>) {
        if error.is_some_and(Error::is_try) {
            return call.pause(doing, self.whose());
        }
        record::note(|notes| {
            // Only where a call can have found it changed: the look costs more than all the rest.
            let may_differ = notes.end_seen || notes.before.is_some() || matches!(error, Some(Error::Os { .. }));
            if may_differ && notes.after.is_none() {
                notes.after = self.with_socket(doing, |socket| Ok(self.seen(socket))).ok().flatten();
            }
        });
        call.end(doing, self.whose(), error);
    }

    /// Tells of a frame that was at hand.
    #[cold]
    pub(super) fn tell_at_hand(&self, doing: &'static str, told: (i64, Head, usize)) {
        let (position, head, count) = told;
        let moved = Some(self.moved(Way::In, position, count));
        record::at_once(doing, self.whose(), Notes { moved, head, ..Notes::default() }, None, false);
    }

    /// Tells of what the server that drives it has moved, which is no call of the program's.
    pub(super) fn tell_of_server(&self, doing: &'static str, way: Way, before: i64, bytes: &[u8]) {
        if record::is_on() && !bytes.is_empty() {
            let moved = Some(self.moved(way, before, bytes.len()));
            record::at_once(doing, self.whose(), Notes { moved, head: Head::of(bytes), ..Notes::default() }, None, true);
        }
    }

    /// Tells how the handler of the server that serves it has failed, at this moment. It is no call on the connection, but a thing that happened to it.
    pub fn tell_of_handler(&self, failure: Failure) {
        record::at_once("handler", self.whose(), Notes::default(), Some(failure), false);
    }

    /// Notes bytes at their place: `before` is what this connection had counted before them.
    #[inline]
    pub(super) fn note_bytes(&self, way: Way, before: i64, count: usize) {
        if count > 0 {
            record::note(|notes| notes.moved = Some(self.moved(way, before, count)));
        }
    }

    /// The state, if it is certain: TCP_INFO calls a connection closed that rests in TIME_WAIT.
    pub(super) fn seen(&self, socket: &Socket) -> Option<TcpState> {
        let state = sys::tcp_state(socket).ok().flatten();
        state.filter(|&state| state != TcpState::CLOSED || self.broken().is_some())
    }

    fn moved(&self, way: Way, before: i64, count: usize) -> Moved {
        let at = match (&self.adopted, way) {
            (None, _) => Some(before),
            (Some(carried), Way::Out) => carried.map(|(sent, _)| sent + before),
            (Some(carried), Way::In | Way::Back) => carried.map(|(_, read)| read + before),
        };
        Moved { way, at, count: count as u64 }
    }

    /// Whose calls its are.
    pub fn whose(&self) -> Whose {
        Whose { socket: self.number, local: Some(self.local_addr()), peer: Some(self.peer_addr()) }
    }

    /// Its number among all sockets of this process.
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// The first bytes that a call moves.
#[inline]
pub(super) fn note_head(bytes: &[u8]) {
    record::note(|notes| notes.head.push(bytes));
}
