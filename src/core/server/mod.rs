//! Many clients on one port, served by one thread that waits for all of them at once (crate `polling`: epoll(7) on Linux). The rule of this room: the
//! reactor alone reads its clients and never sleeps for one of them; others look at the same connections through `Desk`, leave bytes there, and
//! never wait for the reactor while they hold a lock.

mod chat;
mod desk;
mod echo;
mod handler;
mod leaving;
mod notes;
mod reactor;
pub(super) mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use chat::Chat;
pub use desk::{Desk, Member};
pub use echo::{Daytime, Discard, Echo, LineEcho};
pub use handler::{Client, Handler, Turn};
pub use notes::Note;
pub use reactor::Reactor;

use super::error::Result;
use super::listener::Listener;

/// The longest line that the line handlers take, in bytes with its end.
pub const LINE_LIMIT: usize = 64 << 10;

/// What a server allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Clients at the same time; one more is told that the server is full.
    pub clients: Option<usize>,
    /// A client from which nothing has come for so long is closed.
    pub idle: Option<Duration>,
}

/// Opens a server on a listener: what others see of it, and the loop that somebody has to run.
///
/// # Errors
/// The kernel's, such as EMFILE.
pub fn open(listener: Arc<Listener>, handler: Box<dyn Handler>, limits: Limits) -> Result<(Arc<Desk>, Reactor)> {
    let desk = Desk::new(Arc::clone(&listener))?;
    let reactor = Reactor::new(Arc::clone(&desk), listener, handler, limits);
    Ok((desk, reactor))
}

/// When something ends that begins now.
fn within(time: Duration) -> Instant {
    let now = Instant::now();
    // Beyond what a clock can tell is a year, which nobody waits for either.
    now.checked_add(time).unwrap_or(now + Duration::from_secs(365 * 24 * 3600))
}
