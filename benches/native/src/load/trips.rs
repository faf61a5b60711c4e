//! Messages of 64 bytes that go there and come back, one on each connection at a time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use socklens_bench::{EventFlags, Poll, cpu, end_with_input, tell};

use crate::meter::Meter;
use crate::options::Options;
use crate::wrong;

const SIZE: usize = 64;
/// A prime number of them, so that no connection says the same in step with another.
const MESSAGES: usize = 1021;
/// So many connections wait for their first answer at a time: fewer than any server's backlog.
const AT_ONCE: usize = 64;

struct Trip {
    socket: TcpStream,
    message: usize,
    have: usize,
}

fn messages() -> Vec<u8> {
    // A newline at the end, so that a server of lines can be asked as well.
    (0..MESSAGES).flat_map(|number| format!("trip {number:058}\n").into_bytes()).collect()
}

impl Trip {
    fn begin(options: &Options, messages: &[u8], number: usize) -> io::Result<Self> {
        let socket = TcpStream::connect(options.server)?;
        socket.set_nodelay(true)?;
        let mut trip = Self { socket, message: number * 7 % MESSAGES, have: 0 };
        trip.send(messages)?;
        Ok(trip)
    }

    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        // The last answer has come, so the kernel's queue is empty and takes all.
        self.socket.write_all(&messages[self.message * SIZE..][..SIZE])
    }

    /// Takes what has come, and tells whether the message is back.
    fn take(&mut self, messages: &[u8], number: usize) -> io::Result<bool> {
        // Room for more than there has to be, to see it if there is more.
        let mut buffer = [0; 2 * SIZE];
        let n = match self.socket.read(&mut buffer) {
            Ok(0) => return Err(wrong("the server finished", number)),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let expected = &messages[self.message * SIZE..][self.have..SIZE];
        if expected.get(..n) != Some(&buffer[..n]) {
            return Err(wrong("not the message that was sent", number));
        }
        self.have += n;
        if self.have < SIZE {
            return Ok(false);
        }
        self.have = 0;
        self.message = (self.message + 1) % MESSAGES;
        Ok(true)
    }
}

/// Connects everyone, a few at a time, with one message there and back for each.
fn open(options: &Options, messages: &[u8]) -> io::Result<Vec<Trip>> {
    let mut trips: Vec<Trip> = Vec::with_capacity(options.connections);
    while trips.len() < options.connections {
        let first = trips.len();
        for number in first..options.connections.min(first + AT_ONCE) {
            trips.push(Trip::begin(options, messages, number)?);
        }
        for (number, trip) in trips.iter_mut().enumerate().skip(first) {
            while !trip.take(messages, number)? {}
        }
    }
    Ok(trips)
}

/// The mode `echo`.
pub(crate) fn run(options: &Options, meter: &mut Meter<'_>) -> io::Result<()> {
    let messages = messages();
    let mut trips = open(options, &messages)?;
    let mut poll = Poll::new()?;
    for (number, trip) in trips.iter_mut().enumerate() {
        trip.socket.set_nonblocking(true)?;
        // Edge-triggered is safe with a read that takes all there is, and spares the kernel a second look at each socket.
        poll.add(&trip.socket, number, EventFlags::IN | EventFlags::ET)?;
        trip.send(&messages)?;
    }
    meter.ready();
    let (mut done, mut under_way) = (0, trips.len());
    let mut turn = Vec::new();
    while under_way > 0 {
        poll.wait(&mut turn)?;
        let more = meter.goes_on(done)?;
        for &number in &turn {
            let trip = &mut trips[number];
            if trip.take(&messages, number)? {
                done += 1;
                if more { trip.send(&messages)? } else { under_way -= 1 }
            }
        }
    }
    Ok(())
}

/// The mode `idle`: says when all are connected and were served once, and keeps them.
pub(crate) fn idle(options: &Options) -> io::Result<()> {
    let start = Instant::now();
    let trips = open(options, &messages())?;
    tell(&format!(
        "{{\"mode\": \"idle\", \"operations\": {}, \"seconds\": {:.6}, \"load_cpu\": {:.6}, \"server_cpu\": 0, \"counted\": 0, \"notes\": 0}}",
        trips.len(),
        start.elapsed().as_secs_f64(),
        cpu::own()?,
    ))?;
    end_with_input();
    loop {
        std::thread::park();
    }
}
