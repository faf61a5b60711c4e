//! A chat: what each client says, every other has to hear once, in its order, and unchanged.
//!
//! The server may put a name in front of a line, the same one each time, and may say who joins; those lines have no mark.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use memchr::{memchr_iter, memmem};
use socklens_bench::{EventFlags, Poll};

use crate::meter::Meter;
use crate::options::Options;
use crate::wrong;

/// `#`, who says it, which of its lines it is, and a number that changes all over from line to line.
const LINE: usize = 32;
const MARK: u8 = b'#';
const READ: usize = 128 * 1024;
const AGAIN: Duration = Duration::from_millis(100);
/// Two digits say who.
const MOST: usize = 100;

struct Client {
    socket: TcpStream,
    /// The beginning of a line whose end has not come.
    kept: Vec<u8>,
    /// How many lines it heard of each of the others.
    heard: Vec<u64>,
    /// What it said last: the line with number n is at n % window.
    said: Vec<[u8; LINE]>,
    /// How many of the others heard each of those.
    ears: Vec<usize>,
    said_in_all: u64,
    heard_by_all: u64,
    /// What the server puts in front of its lines.
    name: Option<Vec<u8>>,
}

fn line(who: usize, number: u64) -> [u8; LINE] {
    let mut line = [b'\n'; LINE];
    let text = format!("#{who:02} {number:010} {:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    line[..LINE - 1].copy_from_slice(text.as_bytes());
    line
}

/// Lets everybody in, one after the other: whose greeting the first client has heard is known to the server.
fn open(options: &Options) -> io::Result<Vec<Client>> {
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..options.connections {
        let mut socket = TcpStream::connect(options.server)?;
        socket.set_nodelay(true)?;
        // Some servers take the first line for a name, and others for something said; both tell it to the first client.
        let greeting = format!("hello-{number:02}");
        socket.write_all(format!("{greeting}\n").as_bytes())?;
        if let Some(first) = clients.first_mut() {
            first.hears(&greeting, &mut socket)?;
        }
        clients.push(Client {
            socket,
            kept: Vec::new(),
            heard: vec![0; options.connections],
            said: vec![[0; LINE]; options.window],
            ears: vec![0; options.window],
            said_in_all: 0,
            heard_by_all: 0,
            name: None,
        });
    }
    Ok(clients)
}

impl Client {
    /// Waits until this client, the first, has heard the greeting of `other`, which says it again now and then: the first
    /// time, the server may not yet have known this one.
    fn hears(&mut self, greeting: &str, other: &mut TcpStream) -> io::Result<()> {
        self.socket.set_read_timeout(Some(AGAIN))?;
        let mut buffer = [0; 4096];
        let mut heard = std::mem::take(&mut self.kept);
        while memmem::find(&heard, greeting.as_bytes()).is_none_or(|at| !heard[at..].contains(&b'\n')) {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(wrong("the server finished", 0)),
                Ok(n) => heard.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => other.write_all(format!("{greeting}\n").as_bytes())?,
                Err(error) => return Err(error),
            }
        }
        let whole = heard.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.kept = heard.split_off(whole);
        Ok(())
    }

    /// Says as much as may be on its way, in one call.
    fn speak(&mut self, who: usize, window: usize, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        while self.said_in_all - self.heard_by_all < window as u64 {
            let place = (self.said_in_all % window as u64) as usize;
            self.said[place] = line(who, self.said_in_all);
            self.ears[place] = 0;
            out.extend_from_slice(&self.said[place]);
            self.said_in_all += 1;
        }
        // Less than the kernel's queue holds, and all before it was heard.
        if out.is_empty() { Ok(()) } else { self.socket.write_all(out) }
    }
}

/// Takes one whole line that `listener` heard, and tells whether it was somebody's.
fn hear(clients: &mut [Client], listener: usize, line: &[u8], window: usize) -> io::Result<bool> {
    let Some(at) = line.len().checked_sub(LINE).filter(|&at| line[at] == MARK) else { return Ok(false) };
    let (name, said) = line.split_at(at);
    let digit = |place: usize| usize::from(said[place].wrapping_sub(b'0'));
    let speaker = digit(1) * 10 + digit(2);
    if speaker == listener || speaker >= clients.len() {
        return Err(wrong("a line of somebody who is not another client", listener));
    }
    let number = clients[listener].heard[speaker];
    let others = clients.len() - 1;
    let from = &mut clients[speaker];
    let place = (number % window as u64) as usize;
    if number >= from.said_in_all || from.said[place] != *said {
        return Err(wrong("not the next line of its speaker", listener));
    }
    if from.name.get_or_insert_with(|| name.to_vec()) != name {
        return Err(wrong("a speaker has another name than before", listener));
    }
    from.ears[place] += 1;
    // The others hear in order too, so the oldest is always the first that everyone has heard.
    if from.ears[place] == others {
        from.heard_by_all += 1;
    }
    clients[listener].heard[speaker] = number + 1;
    Ok(true)
}

/// The mode `chat`. An operation is a line that one client heard.
pub(crate) fn run(options: &Options, meter: &mut Meter<'_>) -> io::Result<()> {
    if !(2..=MOST).contains(&options.connections) {
        return Err(io::Error::other(format!("a chat needs 2 to {MOST} connections")));
    }
    let window = options.window;
    let mut clients = open(options)?;
    let mut poll = Poll::new()?;
    let (mut out, mut turn) = (Vec::new(), Vec::new());
    for (number, client) in clients.iter_mut().enumerate() {
        client.socket.set_nonblocking(true)?;
        poll.add(&client.socket, number, EventFlags::IN)?;
    }
    meter.ready();
    for (number, client) in clients.iter_mut().enumerate() {
        client.speak(number, window, &mut out)?;
    }
    let mut buffer = vec![0; READ];
    let mut done = 0;
    let mut more = true;
    while more || clients.iter().any(|client| client.heard_by_all < client.said_in_all) {
        poll.wait(&mut turn)?;
        for &listener in &turn {
            done += listen(&mut clients, listener, &mut buffer, window, meter)?;
        }
        more = meter.goes_on(done)?;
        if more {
            for (number, client) in clients.iter_mut().enumerate() {
                client.speak(number, window, &mut out)?;
            }
        }
    }
    Ok(())
}

/// One read, and all whole lines in it; gives how many were somebody's.
fn listen(clients: &mut [Client], listener: usize, buffer: &mut Vec<u8>, window: usize, meter: &mut Meter<'_>) -> io::Result<u64> {
    let client = &mut clients[listener];
    let kept = client.kept.len();
    buffer.resize(buffer.len().max(kept + READ), 0);
    buffer[..kept].copy_from_slice(&client.kept);
    let n = match client.socket.read(&mut buffer[kept..]) {
        Ok(0) => return Err(wrong("the server finished", listener)),
        Ok(n) => n,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
        Err(error) => return Err(error),
    };
    let (mut whole, mut lines) = (0, 0);
    for end in memchr_iter(b'\n', &buffer[kept..kept + n]) {
        if hear(clients, listener, &buffer[whole..=kept + end], window)? {
            lines += 1;
        } else {
            meter.note();
        }
        whole = kept + end + 1;
    }
    let client = &mut clients[listener];
    client.kept.clear();
    client.kept.extend_from_slice(&buffer[whole..kept + n]);
    Ok(lines)
}
