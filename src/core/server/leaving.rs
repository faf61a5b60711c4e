//! How clients leave a server: finished, refused, dropped, silent for too long, or because the server ends.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polling::Events;

use super::desk::{LISTENER, Seat};
use super::handler::Turn;
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
        let mut number = 0;
        self.change(key, |seat| {
            was_here = !std::mem::replace(&mut seat.leaving, true);
            number = seat.number;
            seat.reading = true;
            seat.writing = false;
        });
        let _or_gone = conn.shutdown(Shutdown::Write);
        self.leaving.push_back((within(FAREWELL), key, number));
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
        let seat = self.desk.seats.lock().get(key as usize).map(|seat| (Arc::clone(&seat.conn), seat.number));
        if let Some((conn, number)) = seat {
            self.desk.dropped(key, number, &conn, reason);
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
    }

    /// A client is no client any more.
    fn is_gone(&mut self, key: u32) {
        self.staying -= 1;
        let mut turn = Turn { desk: &self.desk, fates: std::mem::take(&mut self.fates) };
        self.handler.left(&mut turn, key);
        self.fates = turn.fates;
    }

    /// Closes those from whom nothing has come for too long.
    pub(super) fn sweep(&mut self, now: u32, idle: Duration, patience: &mut dyn Patience) {
        let silent: Vec<_> = {
            let seats = self.desk.seats.lock();
            let is_silent = |seat: &Seat| !seat.leaving && !seat.finished && u128::from(now.wrapping_sub(seat.heard)) >= idle.as_millis();
            seats.iter().filter(|(_, seat)| is_silent(seat)).map(|(key, _)| key as u32).collect()
        };
        for key in silent {
            self.drop_client(key, format!("nothing came from it for {} s", idle.as_secs_f64()), patience);
        }
    }

    /// The end: nobody new, what has come is still answered, then everybody is let go.
    pub(super) fn wind_up(&mut self, events: &mut Events, patience: &mut dyn Patience) {
        let _or_closed = self.listener.with_socket("Server", |socket| self.desk.watch.remove(socket));
        self.listener.close(patience);
        self.pause = None;
        self.next_sweep = None;
        let keys: Vec<u32> = self.desk.seats.lock().iter().map(|(key, _)| key as u32).collect();
        let now = self.desk.now();
        for &key in &keys {
            self.serve(key, true, true, now, patience);
        }
        self.end_turn(now, patience);
        let until = self.stop.unwrap_or_else(Instant::now);
        self.stop = Some(until);
        loop {
            let waits = self.desk.seats.lock().iter().any(|(_, seat)| !seat.leaving && seat.writing);
            if !waits || Instant::now() >= until {
                break;
            }
            self.wait(events, patience);
            for event in events.iter() {
                if event.key != LISTENER && event.writable {
                    if let Some(conn) = self.conn(event.key as u32) {
                        self.flush(event.key as u32, &conn, patience);
                    }
                }
            }
            self.end_turn(now, patience);
            self.stop = Some(until);
        }
        for key in keys {
            let leaving = self.desk.seats.lock().get(key as usize).is_none_or(|seat| seat.leaving);
            if leaving {
                self.remove(key, patience);
            } else {
                self.drop_client(key, "the server was stopped".into(), patience);
            }
        }
    }
}

/// How often to look for silent clients: often enough that a limit of a second is kept within a tenth.
pub(super) fn sweep_every(idle: Duration) -> Duration {
    (idle / 10).clamp(Duration::from_millis(10), Duration::from_secs(1))
}
