//! The rule of this house: plain Rust only, no Python anywhere below. A caller brings its own way of waiting
//! ([`wait::Patience`]); everything that is shown leaves as a frozen copy.

pub mod address;
mod calling;
pub mod connect;
pub mod connecting;
pub mod connection;
mod ended;
pub mod error;
mod event;
mod forked;
pub mod framing;
pub mod gate;
pub mod info;
pub mod interfaces;
pub mod listener;
pub mod look;
pub mod memory;
pub mod ports;
pub mod readiness;
mod reason;
pub mod record;
pub mod resolve;
pub mod server;
mod spin;
pub mod state;
mod sys;
pub mod view;
pub mod wait;
pub mod wire;

pub use connect::{Opening, connect, pair};
pub use connecting::Connecting;
pub use connection::Connection;
pub use error::{Error, Result};
pub use info::TcpInfo;
pub use listener::{Listener, Listening};
pub use readiness::Readiness;
pub use state::TcpState;
pub use view::{Input, Output, Totals};
pub use wait::{Deadline, Patience, Timeout, Uninterrupted, Wait};

/// How many forks lie between this process and the one that loaded the crate; asking costs no system call.
pub fn generation() -> u32 {
    sys::generation()
}
