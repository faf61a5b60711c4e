//! Views of a connection: each is a frozen copy, taken under the lock of its direction so that its parts fit together. Looking never changes
//! anything, and never waits.

use std::sync::atomic::Ordering::Relaxed;

use super::Connection;
use crate::core::ended::Ended;
use crate::core::error::{Error, Result};
use crate::core::info::TcpInfo;
use crate::core::ports;
use crate::core::state::TcpState;
use crate::core::sys;
use crate::core::view::{CONTENT_LIMIT, Input, Output, Sends, Totals};

impl Connection {
    /// The input buffer as it is now: FIONREAD, MSG_PEEK, SO_RCVBUF and this program's own memory.
    ///
    /// # Errors
    /// [`Error::Closed`], or the kernel's.
    pub fn input(&self) -> Result<Input> {
        self.with_socket("input_buffer", |socket| {
            let state = self.input.lock();
            let assembled = state.assembly.as_ref().map_or(&[][..], |assembly| assembly.filled());
            let held = state.memory.as_slice();
            let rust = state.held();
            let kernel = sys::recv_queue(socket)?;
            let mut content: Vec<u8> = assembled.iter().chain(held).take(CONTENT_LIMIT).copied().collect();
            // Only where there are bytes: on an empty queue a peek would take the socket's pending error away.
            let wanted = kernel.unwrap_or(0).min(CONTENT_LIMIT - content.len());
            if wanted > 0 {
                content.extend(sys::peek(socket, wanted)?);
            }
            Ok(Input {
                rust,
                kernel,
                capacity: socket.recv_buffer_size()?,
                asked: self.asked.recv_buffer.map(|size| size.get() as usize),
                content,
            })
        })
    }

    /// How many bytes wait to be read, in Rust memory and in the kernel's queue as far as the system tells.
    ///
    /// # Errors
    /// [`Error::Closed`], or the kernel's.
    pub fn input_length(&self) -> Result<usize> {
        self.with_socket("recv", |socket| {
            let held = self.input.lock().held();
            Ok(held + sys::recv_queue(socket)?.unwrap_or(0))
        })
    }

    /// The output buffer as it is now: SIOCOUTQ, SIOCOUTQNSD, SO_SNDBUF and this program's copy of the last bytes sent.
    ///
    /// # Errors
    /// [`Error::Closed`], or the kernel's.
    pub fn output(&self) -> Result<Output> {
        self.with_socket("output_buffer", |socket| {
            let mut state = self.output.lock();
            let unsent = sys::send_queue_unsent(socket)?;
            let outstanding = sys::send_queue(socket)?;
            let mut content = state.outstanding(outstanding.unwrap_or(0));
            let not_kept = outstanding.unwrap_or(0) - content.len();
            let rust = state.waiting();
            content.extend(rust.iter().take(CONTENT_LIMIT));
            Ok(Output {
                outstanding,
                // Asked first, so an ACK in between can only have made the whole smaller than its part.
                unsent: unsent.map(|count| count.min(outstanding.unwrap_or(count))),
                capacity: socket.send_buffer_size()?,
                asked: self.asked.send_buffer.map(|size| size.get() as usize),
                rust: rust.len(),
                not_kept,
                content,
            })
        })
    }

    /// Which sends this program has made. Works on a closed connection too.
    pub fn sends(&self) -> Sends {
        let state = self.output.lock();
        let (count, ends) = state.marks();
        Sends { sent: state.sent, count, ends }
    }

    /// Bytes over the connection's life. Works on a closed connection too.
    pub fn totals(&self) -> Totals {
        let sent = self.output.lock().sent;
        let state = self.input.lock();
        Totals { sent, received: state.received, read: state.read, put_back: state.put_back }
    }

    /// The state that the kernel has it in (TCP_INFO). Where that is none any more, because this program has closed the socket or because it rests
    /// in TIME_WAIT, which TCP_INFO calls closed: the state of what the kernel's table holds for these two endpoints, [`TcpState::CLOSED`] when
    /// that is nothing. `None` where the system does not tell.
    ///
    /// # Errors
    /// The kernel's.
    pub fn state(&self) -> Result<Option<TcpState>> {
        match self.with_socket("state", sys::tcp_state) {
            Ok(Some(TcpState::CLOSED)) => Ok(self.remains(&[TcpState::TIME_WAIT]).or(Some(TcpState::CLOSED))),
            Ok(state) => Ok(state),
            Err(Error::Closed(_)) if self.ended.is(Ended::Detached) || self.gate.is_inherited() => {
                // Somebody else goes on with it.
                Ok(ports::state_of(self.local_addr(), self.peer_addr()))
            }
            Err(Error::Closed(_)) if self.left_nothing.load(Relaxed) => Ok(self.remains(&[TcpState::TIME_WAIT])),
            Err(Error::Closed(_)) => {
                Ok(self.remains(&[TcpState::FIN_WAIT_1, TcpState::FIN_WAIT_2, TcpState::CLOSING, TcpState::LAST_ACK, TcpState::TIME_WAIT]))
            }
            Err(error) => Err(error),
        }
    }

    /// What the kernel's table still holds of a connection that is over: one of `possible`. A row in another state is a successor with the same
    /// endpoints.
    fn remains(&self, possible: &[TcpState]) -> Option<TcpState> {
        let state = ports::state_of(self.local_addr(), self.peer_addr())?;
        Some(if possible.contains(&state) { state } else { TcpState::CLOSED })
    }

    /// All that the kernel tells of it (TCP_INFO, tcp(7)).
    ///
    /// # Errors
    /// [`Error::Closed`], or the kernel's.
    pub fn info(&self) -> Result<TcpInfo> {
        self.with_socket("info", sys::tcp_info)
    }
}
