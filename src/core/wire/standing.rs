//! A relay with nothing to do stands still, whatever has become of its connections: it is told of nothing twice, and wakes for nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::tests::before_a_target;
use super::{Desk, Settings};
use crate::core::wait::Interrupted;
use crate::core::{Patience, Uninterrupted};

/// Turns that are few: a relay that does not stand still makes tens of thousands in a second.
const FEW: usize = 500;

/// Counts how often somebody waits.
struct Counting(Arc<AtomicUsize>);

impl Patience for Counting {
    fn slice(&self) -> Option<Duration> {
        None
    }

    fn released(&mut self, work: &mut (dyn FnMut() + Send)) {
        self.0.fetch_add(1, Relaxed);
        work();
    }

    fn check(&mut self) -> Result<(), Interrupted> {
        Ok(())
    }
}

/// Both ends of a connection through a relay that closes it after its first byte, from which on they are left alone.
fn after_a_close(then: impl FnOnce(TcpStream, TcpStream, &Desk)) -> usize {
    let mut settings = Settings::default();
    settings.mischief[0].close_at = Some(1);
    let (target, address, desk, relay) = before_a_target(settings);
    let turns = Arc::new(AtomicUsize::new(0));
    let mut counting = Counting(Arc::clone(&turns));
    let running = std::thread::spawn(move || relay.run(&mut counting));

    let mut client = TcpStream::connect(address).unwrap();
    let (mut server, _) = target.accept().unwrap();
    client.write_all(b"x").unwrap();
    let mut space = [0; 10];
    assert_eq!((client.read(&mut space).unwrap(), server.read(&mut space).unwrap(), server.read(&mut space).unwrap()), (0, 1, 0));
    then(client, server, &desk);
    desk.stop(&mut Uninterrupted);
    desk.join(Duration::from_secs(10), &mut Uninterrupted).unwrap();
    running.join().unwrap();
    turns.load(Relaxed)
}

fn until_it_is_let_go(desk: &Desk) {
    let until = Instant::now() + Duration::from_secs(20);
    while !desk.links().is_empty() {
        assert!(Instant::now() < until, "it is still kept");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn while_both_ends_take_their_leave() {
    let turns = after_a_close(|_client, _server, desk| until_it_is_let_go(desk));
    assert!(turns < FEW, "{turns} turns");
}

#[test]
fn after_a_reset_in_the_farewell() {
    for which in 0..2 {
        let turns = after_a_close(|client, server, desk| {
            let (breaks, _stays) = if which == 0 { (client, server) } else { (server, client) };
            let breaks = Socket::from(breaks);
            breaks.set_linger(Some(Duration::ZERO)).unwrap();
            drop(breaks);
            until_it_is_let_go(desk);
        });
        assert!(turns < FEW, "{turns} turns");
    }
}
