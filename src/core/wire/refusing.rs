//! A wire's listener that stops listening, and listens again. In between the kernel itself refuses who connects, and nobody else can have the port.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};

use socket2::Socket;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Stops listening, and keeps the port.
///
/// # Errors
/// The kernel's; EADDRINUSE if somebody has taken the port in the moment in which it was free.
pub(super) fn refuse(socket: &Socket, local: SocketAddr) -> io::Result<()> {
    // Sockets that all have SO_REUSEADDR may share a port as long as none listens (socket(7)), and so somebody else could come to listen there.
    socket.set_reuse_address(false)?;
    match socket.shutdown(Shutdown::Read) {
        Ok(()) => hold(socket, local),
        Err(error) => socket.set_reuse_address(true).and(Err(error)),
    }
}

/// Listens again, where it did before.
///
/// # Errors
/// The kernel's; EADDRINUSE if somebody else has the port. It goes on refusing then.
pub(super) fn listen(socket: &Socket, local: SocketAddr) -> io::Result<()> {
    // Without a port of its own it would be given any.
    hold(socket, local)?;
    // The wire's open connections have the port too.
    socket.set_reuse_address(true)?;
    match socket.listen(BACKLOG) {
        Ok(()) => Ok(()),
        Err(error) => socket.set_reuse_address(false).and(Err(error)),
    }
}

/// Linux takes a port back that was not asked for by its number (SOCK_BINDPORT_LOCK); one that was is still bound, says EINVAL.
fn hold(socket: &Socket, local: SocketAddr) -> io::Result<()> {
    let bind = || match socket.bind(&local.into()) {
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    };
    match bind() {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            // The wire's own open connections have it, with SO_REUSEADDR. Beside them a bind with it is as good as one without: the kernel lets others
            // in by the option of the socket that is bound (inet_csk_bind_conflict), and that is off again in a moment.
            socket.set_reuse_address(true)?;
            let bound = bind();
            socket.set_reuse_address(false)?;
            bound
        }
        bound => bound,
    }
}
