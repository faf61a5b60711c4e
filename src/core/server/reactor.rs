//! The loop: wait for all clients at once, do what the handler says with what has come, send what is to be sent, and look who has to go. One turn of
//! it never sleeps.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use polling::Events;

use super::desk::{Desk, Inbox, LISTENER, Seat};
use super::handler::{Client, Fate, Handler, Turn};
use super::leaving::sweep_every;
use super::notes::{TOO_SLOW, trouble};
use super::watch::For;
use super::{Limits, within};
use crate::core::connection::{Connection, WAITING_LIMIT};
use crate::core::listener::Listener;
use crate::core::wait::Patience;

/// One read takes so much at the most: as much as stays in a core's cache between the read and the answer.
const SPACE: usize = 128 << 10;
/// Events that one turn takes from the kernel at the most.
const EVENTS: usize = 1024;
/// Clients that one turn accepts at the most, so that those who are here do not wait for a crowd at the door.
const ACCEPTS: usize = 128;
/// How long one client's messages may keep the others waiting, if each takes its time.
const SLICE: Duration = Duration::from_millis(5);
/// After a failed accept, how long until the next try; it doubles up to …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A server's loop, which somebody has to run.
#[derive(Debug)]
pub struct Reactor {
    pub(super) desk: Arc<Desk>,
    pub(super) listener: Arc<Listener>,
    pub(super) handler: Box<dyn Handler>,
    pub(super) limits: Limits,
    pub(super) space: Box<[u8]>,
    /// Kept for the memory: what the handler has decided in this call.
    pub(super) fates: Vec<(u32, Fate)>,
    /// Who is on its way out, and until when it may take.
    pub(super) leaving: VecDeque<(Instant, u32, Arc<Connection>)>,
    /// Clients with more messages than one turn has time for; and those of them who first have to take what they were answered.
    pub(super) again: Vec<u32>,
    pub(super) held: Vec<u32>,
    /// Clients that are served now.
    pub(super) staying: usize,
    /// Whether somebody has left since the handler was last told that a turn is over.
    pub(super) has_left: bool,
    /// After a failed accept: when to try again, and how long to wait if that fails too.
    pub(super) pause: Option<(Instant, Duration)>,
    pub(super) next_sweep: Option<Instant>,
    pub(super) stop: Option<Instant>,
}

/// Says that the loop has ended, however it did.
struct Over(Arc<Desk>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.seats.lock().clear();
        self.0.is_over_now();
    }
}

impl Reactor {
    pub(super) fn new(desk: Arc<Desk>, listener: Arc<Listener>, handler: Box<dyn Handler>, limits: Limits) -> Self {
        let space = vec![0; SPACE].into_boxed_slice();
        let next_sweep = limits.idle.map(|idle| within(sweep_every(idle)));
        Self {
            desk,
            listener,
            handler,
            limits,
            space,
            fates: Vec::new(),
            leaving: VecDeque::new(),
            again: Vec::new(),
            held: Vec::new(),
            staying: 0,
            has_left: false,
            pause: None,
            next_sweep,
            stop: None,
        }
    }

    /// Serves until the desk is told to stop. Lets go of whatever `patience` holds only while it waits.
    pub fn run(mut self, patience: &mut dyn Patience) {
        let over = Over(Arc::clone(&self.desk));
        self.desk.runs_here(self.handler.name());
        let mut events = Events::with_capacity(NonZeroUsize::MIN.saturating_add(EVENTS - 1));
        while self.stop.is_none() {
            self.wait(&mut events, patience);
            let now = self.desk.now();
            self.go_on(patience);
            for event in events.iter() {
                if event.key == LISTENER {
                    self.accept(now, patience);
                } else {
                    self.serve(event.key as u32, event.readable, event.writable, now, patience);
                }
            }
            self.end_turn(now, patience);
        }
        self.wind_up(&mut events, patience);
        drop(self);
        drop(over);
    }

    pub(super) fn wait(&mut self, events: &mut Events, patience: &mut dyn Patience) {
        let moments = [self.pause.map(|(at, _)| at), self.next_sweep, self.leaving.front().map(|&(at, ..)| at), self.stop];
        let mut sleep = moments.into_iter().flatten().min().map(|at| at.saturating_duration_since(Instant::now()));
        if !self.again.is_empty() {
            sleep = Some(Duration::ZERO);
        }
        patience.released(&mut || {
            if self.desk.watch.wait(events, sleep).is_err_and(|error| error.kind() != ErrorKind::Interrupted) {
                // Nothing that a loop could mend; it must not run hot either.
                std::thread::sleep(FIRST_PAUSE);
            }
        });
    }

    fn accept(&mut self, now: u32, patience: &mut dyn Patience) {
        for _ in 0..ACCEPTS {
            match self.listener.accept_now() {
                Ok(Some(connection)) => self.welcome(connection, now, patience),
                Ok(None) => break,
                Err(error) => {
                    let pause = self.pause.map_or(FIRST_PAUSE, |(_, pause)| (pause * 2).min(LONGEST_PAUSE));
                    self.pause = Some((within(pause), pause));
                    self.watch_listener(For::NOTHING);
                    if !self.listener.is_closed() {
                        self.desk.note(trouble(&error));
                    }
                    return;
                }
            }
        }
        self.pause = None;
        if self.desk.watch.tells_once() {
            self.watch_listener(For::READ);
        }
    }

    fn watch_listener(&self, interest: For) {
        // A listener that somebody has closed has no clients to watch for.
        let _or_closed = self.listener.with_socket("accept", |socket| self.desk.watch.change(socket, LISTENER, interest));
    }

    fn welcome(&mut self, connection: Connection, now: u32, patience: &mut dyn Patience) {
        let full = self.limits.clients.filter(|&most| self.staying >= most);
        let (conn, key) = {
            let mut seats = self.desk.seats.lock();
            let seat = seats.vacant_entry();
            let key = seat.key() as u32;
            let driver = Arc::downgrade(&self.desk);
            let conn = Arc::new(connection.driven_by(driver, key));
            let count = if full.is_some() { &self.desk.refused } else { &self.desk.accepted };
            let number = count.fetch_add(1, Relaxed) as u32 + 1;
            let leaving = full.is_some();
            seat.insert(Seat {
                conn: Arc::clone(&conn),
                number,
                since: now,
                heard: now,
                got: 0,
                reading: true,
                writing: false,
                finished: false,
                leaving,
            });
            (conn, key)
        };
        let watched = conn.with_socket("accept", |socket| self.desk.watch.add(socket, key as usize, For::READ));
        if watched.is_err() {
            // It was no client yet.
            self.change(key, |seat| seat.leaving = true);
            return self.remove(key, patience);
        }
        if let Some(most) = full {
            let clients = if most == 1 { "1 client".to_owned() } else { format!("{most} clients") };
            let line = format!("The server is full ({clients}). Please try again later.\n");
            match conn.reply(line.as_bytes()) {
                Ok(_) => self.say_goodbye(key, &conn),
                Err(_) => self.remove(key, patience),
            }
            return;
        }
        self.staying += 1;
        self.ask(patience, |handler, turn| handler.joined(turn, Client { key, conn: &conn }));
    }

    /// Calls the handler and does what it has decided.
    fn ask(&mut self, patience: &mut dyn Patience, call: impl FnOnce(&mut dyn Handler, &mut Turn<'_>)) {
        let mut turn = Turn { desk: &self.desk, holds_back: self.handler.holds_back(), fates: std::mem::take(&mut self.fates) };
        call(&mut *self.handler, &mut turn);
        let mut fates = turn.fates;
        for (key, fate) in fates.drain(..) {
            self.settle(key, fate, patience);
        }
        // What was decided for those who left on the way is in the new list.
        if self.fates.is_empty() {
            self.fates = fates;
        }
    }

    pub(super) fn settle(&mut self, key: u32, fate: Fate, patience: &mut dyn Patience) {
        match fate {
            Fate::Full => self.drop_client(key, TOO_SLOW.into(), patience),
            Fate::Waits => {
                let hold_back = self.handler.holds_back();
                self.change(key, |seat| {
                    // To one that has been sent FIN nothing more can go.
                    seat.writing = !seat.leaving;
                    seat.reading &= !hold_back || seat.leaving;
                });
            }
            Fate::Finish => self.finish(key, patience),
            Fate::Drop(reason) => self.drop_client(key, reason, patience),
            Fate::Close | Fate::Gone => self.remove(key, patience),
        }
    }

    /// One client's event.
    pub(super) fn serve(&mut self, key: u32, readable: bool, writable: bool, now: u32, patience: &mut dyn Patience) {
        let (conn, reading, writing, leaving) = {
            let mut seats = self.desk.seats.lock();
            // An earlier event of this turn may have ended it.
            let Some(seat) = seats.get_mut(key as usize) else { return };
            if readable && seat.reading {
                seat.heard = now;
            }
            (Arc::clone(&seat.conn), seat.reading, seat.writing, seat.leaving)
        };
        if leaving {
            self.see_off(key, &conn, patience);
        } else {
            if writing && writable {
                self.flush(key, &conn, patience);
            }
            if reading && readable && !self.again.contains(&key) {
                self.read(key, &conn, true, patience);
            }
            if self.desk.watch.tells_once() {
                self.change(key, |_| {});
            }
        }
    }

    /// One read, or with `fresh` false none, and what the handler makes of it.
    pub(super) fn read(&mut self, key: u32, conn: &Arc<Connection>, fresh: bool, patience: &mut dyn Patience) {
        let client = Client { key, conn };
        let mut space = std::mem::take(&mut self.space);
        let mut result = Ok(0);
        let mut until = None;
        let mut more = false;
        self.ask(patience, |handler, turn| {
            if fresh {
                result = conn.take_in(&mut space, &mut |bytes| handler.received(turn, client, bytes));
            } else {
                result = Ok(1);
                conn.take_up(&mut |bytes| handler.received(turn, client, bytes));
            }
            if !matches!(result, Ok(1..)) {
                return;
            }
            loop {
                handler.handle(turn, client);
                more = handler.has_more() && !conn.is_closed() && turn.may_go_on(key);
                if !more || conn.waiting() > WAITING_LIMIT || Instant::now() >= *until.get_or_insert_with(|| within(SLICE)) {
                    break;
                }
                conn.take_up(&mut |bytes| handler.received(turn, client, bytes));
            }
            if conn.waiting() > 0 {
                turn.send(client);
            }
        });
        self.space = space;
        if more {
            self.again.push(key);
        }
        match result {
            Ok(0) => {
                self.ask(patience, |handler, turn| conn.take_rest(|rest| handler.finished(turn, client, rest)));
                self.ask(patience, |handler, turn| {
                    handler.handle(turn, client);
                    turn.send(client);
                });
                self.finish(key, patience);
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.remove(key, patience),
        }
    }

    /// Offers the kernel what waits for a client.
    pub(super) fn flush(&mut self, key: u32, conn: &Arc<Connection>, patience: &mut dyn Patience) {
        match conn.flush() {
            Ok(0) => {
                let mut finished = false;
                self.change(key, |seat| {
                    finished = seat.finished;
                    seat.writing = false;
                    seat.reading = !finished;
                });
                if let Some(at) = self.held.iter().position(|&held| held == key) {
                    self.again.push(self.held.swap_remove(at));
                }
                if finished {
                    self.say_goodbye(key, conn);
                }
            }
            Ok(_) => self.settle(key, Fate::Waits, patience),
            Err(_) => self.remove(key, patience),
        }
    }

    pub(super) fn conn(&self, key: u32) -> Option<Arc<Connection>> {
        self.desk.seats.lock().get(key as usize).map(|seat| Arc::clone(&seat.conn))
    }

    /// Changes a seat, and what its socket is watched for if that has changed.
    pub(super) fn change(&self, key: u32, change: impl FnOnce(&mut Seat)) {
        let (conn, interest) = {
            let mut seats = self.desk.seats.lock();
            let Some(seat) = seats.get_mut(key as usize) else { return };
            let before = For { read: seat.reading, write: seat.writing };
            change(seat);
            let after = For { read: seat.reading, write: seat.writing };
            if before == after && !self.desk.watch.tells_once() {
                return;
            }
            (Arc::clone(&seat.conn), after)
        };
        // One that somebody has just closed is not watched any more, and its farewell is in the inbox.
        let _or_closed = conn.with_socket("Server", |socket| self.desk.watch.change(socket, key as usize, interest));
    }

    /// What others have asked for, what the clock asks for, and what the handler has kept for the end.
    pub(super) fn end_turn(&mut self, now: u32, patience: &mut dyn Patience) {
        let Inbox { mut waiting, finishing, closed, kicked, stop } = {
            let mut inbox = self.desk.inbox.lock();
            let stop = inbox.stop;
            Inbox { stop, ..std::mem::replace(&mut *inbox, Inbox { stop, ..Inbox::default() }) }
        };
        for key in closed {
            // The seat may have gone to somebody else meanwhile.
            if self.conn(key).is_some_and(|conn| conn.is_closed()) {
                self.remove(key, patience);
            }
        }
        for (key, conn, reason) in kicked {
            if self.conn(key).is_some_and(|now| Arc::ptr_eq(&now, &conn)) {
                match reason {
                    Some(reason) => self.drop_client(key, reason.into(), patience),
                    None => self.remove(key, patience),
                }
            }
        }
        self.look_at_the_clock(now, patience);
        self.ask(patience, |handler, turn| handler.turn_over(turn));
        // To whom the last words were too much has gone as well, and that is news too.
        while std::mem::take(&mut self.has_left) {
            self.ask(patience, |handler, turn| handler.turn_over(turn));
        }
        waiting.sort_unstable();
        waiting.dedup();
        for key in waiting {
            if let Some(conn) = self.conn(key) {
                let flushed = conn.flush();
                self.ask(patience, |_, turn| turn.note(key, flushed));
            }
        }
        for (key, conn) in finishing {
            if self.conn(key).is_some_and(|now| Arc::as_ptr(&now) as usize == conn) {
                self.finish(key, patience);
            }
        }
        self.stop = stop;
    }

    fn look_at_the_clock(&mut self, now: u32, patience: &mut dyn Patience) {
        if self.pause.is_none() && self.leaving.is_empty() && self.next_sweep.is_none() {
            return;
        }
        let time = Instant::now();
        if self.pause.is_some_and(|(at, _)| at <= time) {
            self.watch_listener(For::READ);
            self.accept(now, patience);
        }
        while self.leaving.front().is_some_and(|&(at, ..)| at <= time) {
            let Some((_, key, conn)) = self.leaving.pop_front() else { break };
            if self.conn(key).is_some_and(|now| Arc::ptr_eq(&now, &conn)) {
                self.remove(key, patience);
            }
        }
        if let (Some(at), Some(idle)) = (self.next_sweep, self.limits.idle) {
            if at <= time {
                self.sweep(now, idle, patience);
                self.next_sweep = Some(within(sweep_every(idle)));
            }
        }
    }
}
