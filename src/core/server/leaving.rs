//! What is due without an event: clients with more to be handled, and how clients leave: finished, refused, dropped, silent for too long, or because
//! the server ends.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polling::Events;

use super::desk::LISTENER;
use super::handler::Turn;
use super::notes::{IDLE, STOPPED, TOO_SLOW};
use super::reactor::Reactor;
use super::within;
use crate::core::connection::Connection;
use crate::core::wait::Patience;

/// How long one who was told to go may take to close its end before this one is closed.
const FAREWELL: Duration = Duration::from_secs(1);

impl Reactor {
    /// Lets a client go once it has what waits for it.
    pub(super) fn finish(&mut self, key: u32, patience: &mut dyn Patience) {
        let Some(conn) = self.conn(key) else { return };
        if self.desk.seats.lock().get(key as usize).is_none_or(|seat| seat.leaving) {
            return;
        }
        match conn.flush() {
            Ok(0) => self.say_goodbye(key, &conn),
            Ok(_) => self.change(key, |seat| {
                seat.finished = true;
                seat.reading = false;
                seat.writing = true;
            }),
            Err(_) => self.remove(key, patience),
        }
    }

    /// Sends FIN, and waits for the other's: to close with bytes unread would send RST, which takes away what the client has not read yet.
    pub(super) fn say_goodbye(&mut self, key: u32, conn: &Arc<Connection>) {
        let mut was_here = false;
        self.change(key, |seat| {
            was_here = !std::mem::replace(&mut seat.leaving, true);
            seat.reading = true;
            seat.writing = false;
        });
        let _or_gone = conn.shutdown(Shutdown::Write);
        self.leaving.push_back((within(FAREWELL), key, Arc::clone(conn)));
        if was_here {
            self.is_gone(key);
        }
    }

    /// Reads away what somebody still sends who is leaving, until it closes its end.
    pub(super) fn see_off(&mut self, key: u32, conn: &Arc<Connection>, patience: &mut dyn Patience) {
        match conn.take_in(&mut self.space, &mut |bytes| bytes.len()) {
            Ok(1..) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            _ => self.remove(key, patience),
        }
    }

    pub(super) fn drop_client(&mut self, key: u32, reason: String, patience: &mut dyn Patience) {
        let too_slow = reason == TOO_SLOW;
        let seat = self.desk.seats.lock().get(key as usize).filter(|seat| !seat.leaving).map(|seat| (Arc::clone(&seat.conn), seat.number));
        if let Some((conn, number)) = seat {
            self.desk.dropped(key, number, &conn, reason);
            if too_slow {
                // The kernel would hold some 4 MB for it, until it reads them after all.
                let _or_close_does = conn.abort(patience);
            }
        }
        self.remove(key, patience);
    }

    /// Closes a client's connection, if nobody has, and gives its seat back.
    pub(super) fn remove(&mut self, key: u32, patience: &mut dyn Patience) {
        let Some(seat) = self.desk.seats.lock().try_remove(key as usize) else { return };
        seat.conn.close(patience);
        if !seat.leaving {
            self.is_gone(key);
        }
        self.desk.forget(key);
        self.again.retain(|&other| other != key);
        self.held.retain(|&other| other != key);
    }

    /// A client is no client any more.
    fn is_gone(&mut self, key: u32) {
        self.staying -= 1;
        self.has_left = true;
        let mut turn = Turn { desk: &self.desk, holds_back: self.handler.holds_back(), fates: std::mem::take(&mut self.fates) };
        self.handler.left(&mut turn, key);
        self.fates = turn.fates;
    }

    /// Goes on with those whose messages were too many for one turn, and who take what they are answered.
    pub(super) fn go_on(&mut self, patience: &mut dyn Patience) {
        for key in std::mem::take(&mut self.again) {
            let seat = self.desk.seats.lock().get(key as usize).map(|seat| (Arc::clone(&seat.conn), seat.reading, seat.leaving));
            match seat {
                Some((conn, true, false)) => self.read(key, &conn, false, patience),
                Some((_, false, false)) => self.held.push(key),
                _ => {}
            }
        }
    }

    /// Closes those from whom nothing has come for too long, and who have not acknowledged anything either: one that reads slowly what it is sent is not read
    /// meanwhile, and one that only listens is at work too.
    pub(super) fn sweep(&mut self, now: u32, idle: Duration, patience: &mut dyn Patience) {
        let mut silent = vec![];
        for (key, seat) in self.desk.seats.lock().iter_mut().filter(|(_, seat)| !seat.leaving) {
            let got = seat.conn.acknowledged() as u32;
            if std::mem::replace(&mut seat.got, got) != got {
                seat.heard = now;
            }
            if u128::from(now.wrapping_sub(seat.heard)) >= idle.as_millis() {
                silent.push(key as u32);
            }
        }
        for key in silent {
            self.drop_client(key, IDLE.into(), patience);
        }
    }

    /// The end: nobody new, what has come is still answered, then everybody is let go.
    pub(super) fn wind_up(&mut self, events: &mut Events, patience: &mut dyn Patience) {
        self.pause = None;
        self.next_sweep = None;
        let keys: Vec<u32> = self.desk.seats.lock().iter().map(|(key, _)| key as u32).collect();
        let now = self.desk.now();
        for &key in &keys {
            self.serve(key, true, true, now, patience);
        }
        self.end_turn(now, patience);
        let until = self.stop.unwrap_or_else(Instant::now);
        // Only those for whom something waits stay, and nothing more is read from them: what they send would end the wait again and again.
        for &key in &keys {
            let waits = self.conn(key).is_some_and(|conn| conn.waiting() > 0);
            if waits {
                self.change(key, |seat| {
                    seat.writing = true;
                    seat.reading = false;
                });
            } else {
                self.let_go(key, patience);
            }
        }
        while Instant::now() < until && self.desk.seats.lock().iter().any(|(_, seat)| seat.writing) {
            self.stop = Some(until);
            self.wait(events, patience);
            for event in events.iter().filter(|event| event.key != LISTENER) {
                let key = event.key as u32;
                let Some(conn) = self.conn(key) else { continue };
                if !matches!(conn.flush(), Ok(1..)) {
                    self.let_go(key, patience);
                } else if self.desk.watch.tells_once() {
                    self.change(key, |_| {});
                }
            }
        }
        for key in keys {
            self.let_go(key, patience);
        }
    }

    fn let_go(&mut self, key: u32, patience: &mut dyn Patience) {
        self.drop_client(key, STOPPED.into(), patience);
    }
}

/// How often to look for silent clients: often enough that a limit of a second is kept within a tenth.
pub(super) fn sweep_every(idle: Duration) -> Duration {
    (idle / 10).clamp(Duration::from_millis(10), Duration::from_secs(1))
}
