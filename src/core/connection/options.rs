//! Options of a connection. The kernel keeps them; nothing is remembered here.

use std::time::Duration;

use super::Connection;
use crate::core::error::Result;
use crate::core::reason;
use crate::core::sys;

impl Connection {
    /// TCP_NODELAY (tcp(7)): whether small pieces are sent at once instead of being gathered while an ACK is awaited (Nagle, RFC 896).
    ///
    /// # Errors
    /// [`Error::Closed`](crate::core::Error::Closed), or the kernel's, here and below.
    pub fn nodelay(&self) -> Result<bool> {
        self.with_socket("nodelay", |socket| socket.tcp_nodelay())
    }

    /// Sets TCP_NODELAY.
    ///
    /// # Errors
    /// As above.
    pub fn set_nodelay(&self, on: bool) -> Result<()> {
        self.with_socket("nodelay", |socket| socket.set_tcp_nodelay(on))
    }

    /// SO_KEEPALIVE (socket(7)): whether the kernel asks a silent peer from time to time whether it is still there.
    ///
    /// # Errors
    /// As above.
    pub fn keepalive(&self) -> Result<bool> {
        self.with_socket("keepalive", |socket| socket.keepalive())
    }

    /// Sets SO_KEEPALIVE.
    ///
    /// # Errors
    /// As above.
    pub fn set_keepalive(&self, on: bool) -> Result<()> {
        self.with_socket("keepalive", |socket| socket.set_keepalive(on))
    }

    /// SO_LINGER (socket(7)): how long close waits for unacknowledged bytes; `None` leaves them to the kernel, zero sends RST.
    ///
    /// # Errors
    /// As above.
    pub fn linger(&self) -> Result<Option<Duration>> {
        self.with_socket("linger", |socket| socket.linger())
    }

    /// Sets SO_LINGER, in whole seconds.
    ///
    /// # Errors
    /// As above.
    pub fn set_linger(&self, time: Option<Duration>) -> Result<()> {
        self.with_socket("linger", |socket| socket.set_linger(time))
    }

    /// getsockopt(2): the option's bytes, at most `size`.
    ///
    /// # Errors
    /// As above.
    pub fn getsockopt(&self, level: i32, option: i32, size: usize) -> Result<Vec<u8>> {
        self.with_socket("getsockopt", |socket| {
            let bytes = sys::getsockopt(socket, level, option, size)?;
            // Reading SO_ERROR takes the error away from the next call, which would then report an end of stream.
            if sys::is_error_option(level, option) {
                if let Some(code) = bytes.first_chunk().map(|&code| i32::from_ne_bytes(code)).filter(|&code| code != 0) {
                    self.remember(&std::io::Error::from_raw_os_error(code));
                }
            }
            Ok(bytes)
        })
        .map_err(reason::of_option(level, option))
    }

    /// setsockopt(2).
    ///
    /// # Errors
    /// As above.
    pub fn setsockopt(&self, level: i32, option: i32, value: &[u8]) -> Result<()> {
        self.with_socket("setsockopt", |socket| sys::setsockopt(socket, level, option, value)).map_err(reason::of_option(level, option))
    }
}
