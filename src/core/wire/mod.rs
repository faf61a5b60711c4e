//! A mischievous relay between a client and a target, and two TCP connections: the client's with the relay, and the relay's with the target. The rule of
//! this room: one thread reads and writes for all of them and never sleeps for one; its sockets are its own, nobody's whom it relays; what waits in it
//! is bounded; with no mischief set, bytes, FIN and RST pass as they came.

mod delivering;
mod desk;
mod mischief;
mod refusing;
mod relay;
mod relayed;
mod schedule;
mod settling;
mod side;
#[cfg(test)]
mod standing;
mod story;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

pub use desk::{Desk, Drop, Link, Settings};
pub use mischief::{HOLD, Mischief, Split};
pub use relay::Relay;
pub use schedule::CAPACITY;
pub use story::{Event, KEPT, What};

use super::error::Result;
use super::listener::Listener;
use super::reason;
use super::server::watch::Watch;

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the target.
    ToServer,
    /// From the target to the client.
    ToClient,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    /// The name that it has in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::ToServer => "to_server",
            Self::ToClient => "to_client",
        }
    }
}

/// Opens a wire on a listener: what others see of it, and the loop that somebody has to run. `targets` are the addresses of the target, tried in turn.
///
/// # Errors
/// The kernel's, such as EMFILE.
pub fn open(listener: Arc<Listener>, targets: Vec<SocketAddr>, seed: u64, settings: Settings) -> Result<(Arc<Desk>, Relay)> {
    let watch = Arc::new(Watch::new().map_err(|error| reason::os(&error, "Wire", ""))?);
    let desk = Desk::new(listener, &watch, seed, settings)?;
    let relay = Relay::new(Arc::clone(&desk), watch, targets);
    Ok((desk, relay))
}
