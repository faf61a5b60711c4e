//! A look at a TCP socket that is somebody else's: what the kernel tells of it, and nothing of it changes. Who counts or copies what it sends is
//! not here, so that is unknown.

use std::net::SocketAddr;

use socket2::{Socket, Type};

use super::error::{Error, Result};
use super::info::TcpInfo;
use super::reason;
use super::state::TcpState;
use super::sys;
use super::view::{CONTENT_LIMIT, Input, Output};

/// A socket at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its own endpoint (getsockname(2)).
    pub local: SocketAddr,
    /// The other end's (getpeername(2)); `None` where it is not connected.
    pub peer: Option<SocketAddr>,
    /// Its state (TCP_INFO). `None` where the system does not tell.
    pub state: Option<TcpState>,
    /// (connections that wait to be accepted, the limit) of a listener.
    pub backlog: Option<(u32, u32)>,
    /// Its buffers and TCP_INFO, if it is a connection's.
    pub connection: Option<(Input, Output, Option<TcpInfo>)>,
}

impl Look {
    /// Looks once, at a copy of the descriptor: from then on nobody can give its number to another socket.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is no TCP socket, or the kernel's: ENOTSOCK, EBADF.
    pub fn of(socket: &Socket) -> Result<Self> {
        let refuse = |why: &str| Error::Invalid(format!("look: {why}"));
        let os = |error: std::io::Error| reason::os(&error, "look", why(&error));
        let socket = &socket.try_clone().map_err(|error| reason::os(&error, "look", why_no_copy(&error)))?;
        if socket.r#type().map_err(os)? != Type::STREAM {
            return Err(refuse("this is not a TCP (SOCK_STREAM) socket"));
        }
        let local = socket.local_addr().map_err(os)?.as_socket().ok_or_else(|| refuse("this is not an IPv4 or IPv6 socket"))?;
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        let state = sys::tcp_state(socket).map_err(os)?;
        let listens = state == Some(TcpState::LISTEN);
        let backlog = if listens { sys::accept_queue(socket).map_err(os)? } else { None };
        let connection = if listens || peer.is_none() { None } else { Some(connection(socket).map_err(os)?) };
        Ok(Self { local, peer, state, backlog, connection })
    }
}

fn why_no_copy(error: &std::io::Error) -> &'static str {
    if error.raw_os_error() == Some(sys::NOT_OPEN) { "no descriptor with this number is open in this program" } else { why(error) }
}

fn why(error: &std::io::Error) -> &'static str {
    if error.raw_os_error() == Some(sys::NO_SOCKET) { "it is a file, a pipe or a terminal" } else { "" }
}

fn connection(socket: &Socket) -> std::io::Result<(Input, Output, Option<TcpInfo>)> {
    // What was sent first, what came second: a byte on its way between them is then seen twice, never missed.
    let unsent = sys::send_queue_unsent(socket)?;
    let outstanding = sys::send_queue(socket)?;
    let output = Output {
        outstanding,
        unsent: unsent.map(|count| count.min(outstanding.unwrap_or(count))),
        capacity: socket.send_buffer_size()?,
        not_kept: outstanding.unwrap_or(0),
        ..Output::default()
    };
    let kernel = sys::recv_queue(socket)?;
    let wanted = kernel.unwrap_or(0).min(CONTENT_LIMIT);
    // Its owner may read meanwhile, and a peek never sleeps: then there is nothing to show. An error of the socket is the owner's to find.
    let content = if wanted > 0 { sys::peek(socket, wanted).unwrap_or_default() } else { Vec::new() };
    let input = Input { kernel, capacity: socket.recv_buffer_size()?, content, ..Input::default() };
    Ok((input, output, sys::tcp_info(socket).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_look_takes_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = Socket::from(listener.accept().unwrap().0);
        client.write_all(b"hello").unwrap();
        let mut byte = [0; 5];
        while sys::recv_queue(&server).unwrap() == Some(0) {}
        for _ in 0..2 {
            let look = Look::of(&server).unwrap();
            assert_eq!((look.local, look.peer), (listener.local_addr().unwrap(), client.local_addr().ok()));
            assert_eq!(look.connection.unwrap().0.content, b"hello");
        }
        assert_eq!(sys::read(&server, &mut byte).unwrap(), 5);
        assert!(Look::of(&Socket::from(listener)).unwrap().connection.is_none());
    }

    #[test]
    fn a_socket_without_connections_is_refused() {
        let datagrams = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        assert!(matches!(Look::of(&datagrams), Err(Error::Invalid(_))));
    }
}
