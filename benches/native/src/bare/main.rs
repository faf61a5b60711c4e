//! The bare server: one thread, level-triggered epoll, nothing but the system calls that the task needs. It is the limit
//! with which the servers of socklens are compared, and is written for speed on loopback, not for the public.
//!
//! `bare echo|lines|discard|chat` prints its port and serves on 127.0.0.1 until its standard input ends.

mod clients;
mod room;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use memchr::memrchr;
use socket2::{Domain, Socket, Type};
use socklens_bench::{EventFlags, Poll, end_with_input, tell};

use clients::{Client, Clients, Stay};

const BACKLOG: i32 = 1024;
const LISTENER: usize = usize::MAX;
/// One read. It fits a second-level cache together with what the kernel touches; more was not faster.
const READ: usize = 256 * 1024;
/// A line may be this long.
const LONGEST: usize = 64 * 1024;

fn main() -> io::Result<()> {
    let service = std::env::args().nth(1).unwrap_or_default();
    let listener = listen()?;
    let port = listener.local_addr()?.port();
    let served = match service.as_str() {
        "echo" => Served::Echo,
        "lines" => Served::Lines,
        "discard" => Served::Discard,
        "chat" => Served::Chat(room::Room::default()),
        other => return Err(io::Error::other(format!("no service is called {other:?}"))),
    };
    end_with_input();
    tell(&port.to_string())?;
    serve(&listener, served)
}

enum Served {
    Echo,
    Lines,
    Discard,
    Chat(room::Room),
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Accepted sockets inherit both: no call for each of them.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn serve(listener: &TcpListener, mut served: Served) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.add(listener, LISTENER, EventFlags::IN)?;
    let mut clients = Clients::default();
    let mut buffer = vec![0; LONGEST + READ];
    let mut turn = Vec::with_capacity(1024);
    loop {
        poll.wait(&mut turn)?;
        for &token in &turn {
            if token == LISTENER {
                clients.accept_all(listener, &poll)?;
                continue;
            }
            if let Served::Chat(room) = &mut served {
                room.hear(&mut clients, token, &mut buffer);
                continue;
            }
            let Some(client) = clients.get(token) else { continue };
            let stays = match &served {
                Served::Echo => echo(client, token, &mut buffer, &poll),
                Served::Lines => lines(client, token, &mut buffer, &poll),
                Served::Discard => discard(client, &mut buffer),
                Served::Chat(_) => Ok(Stay::Yes),
            };
            // Whoever resets a connection has left as well.
            if !matches!(stays, Ok(Stay::Yes)) {
                clients.close(token);
            }
        }
        if let Served::Chat(room) = &mut served {
            room.tell_all(&mut clients, &poll)?;
        }
    }
}

/// Gives back what one read brought. While something of it waits for the kernel, nothing more is read.
fn echo(client: &mut Client, token: usize, buffer: &mut [u8], poll: &Poll) -> io::Result<Stay> {
    if client.waits() {
        return client.flush(token, poll);
    }
    match client.read(&mut buffer[..READ])? {
        Some(0) => Ok(Stay::No),
        Some(n) => client.send(&buffer[..n], token, poll),
        None => Ok(Stay::Yes),
    }
}

/// Gives back the whole lines of one read in one call, up to the last end of a line; the beginning of another is kept.
fn lines(client: &mut Client, token: usize, buffer: &mut [u8], poll: &Poll) -> io::Result<Stay> {
    if client.waits() {
        return client.flush(token, poll);
    }
    let Some((kept, filled)) = client.read_after_kept(buffer)? else { return Ok(Stay::Yes) };
    let whole = memrchr(b'\n', &buffer[kept..filled]).map_or(0, |end| kept + end + 1);
    if kept == filled || filled - whole >= LONGEST {
        return Ok(Stay::No);
    }
    client.keep(&buffer[whole..filled]);
    if whole == 0 {
        return Ok(Stay::Yes);
    }
    client.send(&buffer[..whole], token, poll)
}

/// Takes and forgets.
fn discard(client: &mut Client, buffer: &mut [u8]) -> io::Result<Stay> {
    match client.read(&mut buffer[..READ])? {
        Some(0) => Ok(Stay::No),
        _ => Ok(Stay::Yes),
    }
}
