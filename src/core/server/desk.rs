//! What others see and do while the reactor serves: the roster, what became of clients, bytes to be sent, orders. Locks are held for a copy; nobody
//! waits here for the reactor but `join`.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use slab::Slab;
use socket2::Socket;

use super::notes::{GOES_ON, Note, Notes, TOO_SLOW};
use super::watch::{For, Watch};
use crate::core::connection::{Connection, Driver};
use crate::core::error::{Error, Result};
use crate::core::listener::Listener;
use crate::core::reason;
use crate::core::sys;
use crate::core::wait::{Patience, Stop, Wait};

/// The key under which the listener is watched; clients have those of the slab.
pub(super) const LISTENER: usize = usize::MAX - 1;

/// A client's place in the roster. Ten thousand of them are 320 kB.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) conn: Arc<Connection>,
    /// The how manieth client it is.
    pub(super) number: u32,
    /// When it came, and when it last sent something, in milliseconds after the desk was opened.
    pub(super) since: u32,
    pub(super) heard: u32,
    /// How many bytes it had acknowledged when it was last looked at, as a sign of life; wraps.
    pub(super) got: u32,
    /// Whether it is still read.
    pub(super) reading: bool,
    /// Whether the reactor waits for the kernel to take more.
    pub(super) writing: bool,
    /// Whether nothing more is read, and it is let go after the last byte that waits.
    pub(super) finished: bool,
    /// Whether it is on its way out: finished, or refused, and no client any more.
    pub(super) leaving: bool,
}

/// A client, as others see it.
#[derive(Clone, Debug)]
pub struct Member {
    /// The how manieth client of this server it is.
    pub number: u32,
    /// Its connection.
    pub conn: Arc<Connection>,
    /// When it came.
    pub since: SystemTime,
    /// Its name, if it has one.
    pub name: Option<String>,
}

/// What others want of the reactor.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Clients for whom bytes wait.
    pub(super) waiting: Vec<u32>,
    /// Clients whose connection somebody else has closed.
    pub(super) closed: Vec<u32>,
    /// Clients that are to get what waits for them, and FIN.
    pub(super) finishing: Vec<(u32, usize)>,
    /// Clients to be closed, and why, if that is to be noted. By their connections too: a key may be another's by then.
    pub(super) kicked: Vec<(u32, Arc<Connection>, Option<&'static str>)>,
    /// By when everything has to be over.
    pub(super) stop: Option<Instant>,
}

/// See the top of this file.
pub struct Desk {
    pub(super) watch: Watch,
    pub(super) seats: Mutex<Slab<Seat>>,
    pub(super) inbox: Mutex<Inbox>,
    names: Mutex<HashMap<u32, String>>,
    notes: Mutex<Notes>,
    listener: Arc<Listener>,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    reactor: OnceLock<ThreadId>,
    opened: (Instant, SystemTime),
    over: (Mutex<bool>, Condvar),
    process: u32,
    handler: OnceLock<&'static str>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn new(listener: Arc<Listener>) -> Result<Arc<Self>> {
        let watch = Watch::new().map_err(|error| reason::os(&error, "Server", ""))?;
        let desk = Arc::new(Self {
            watch,
            seats: Mutex::default(),
            inbox: Mutex::default(),
            names: Mutex::default(),
            notes: Mutex::default(),
            listener,
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            reactor: OnceLock::new(),
            opened: (Instant::now(), SystemTime::now()),
            over: (Mutex::new(false), Condvar::new()),
            process: sys::generation(),
            handler: OnceLock::new(),
        });
        desk.listener.is_served_by(Arc::downgrade(&desk) as Weak<dyn Driver>);
        desk.listener.with_socket("Server", |socket| {
            // What goes to a client goes out once a turn, so Nagle's algorithm (RFC 896) has nothing to gather; it would only hold the last piece
            // back for a delayed ACK, 40 ms. Accepted sockets have it from their listener.
            socket.set_tcp_nodelay(true)?;
            desk.watch.add(socket, LISTENER, For::READ)
        })?;
        Ok(desk)
    }

    pub(super) fn runs_here(&self, handler: &'static str) {
        let _once = self.reactor.set(std::thread::current().id());
        let _same = self.handler.set(handler);
    }

    /// Milliseconds since it was opened; 49 days go into the number.
    pub(super) fn now(&self) -> u32 {
        self.opened.0.elapsed().as_millis() as u32
    }

    /// Whether the calling thread is the reactor's.
    pub fn is_here(&self) -> bool {
        self.is_this_thread()
    }

    /// Whether this process has it from its parent, in which the reactor is.
    pub fn is_inherited(&self) -> bool {
        self.process != sys::generation()
    }

    /// Clients accepted, and refused because the server was full.
    pub fn counts(&self) -> (u64, u64) {
        (self.accepted.load(Relaxed), self.refused.load(Relaxed))
    }

    /// The clients, in the order in which they came.
    pub fn members(&self) -> Vec<Member> {
        let mut members: Vec<_> = {
            let seats = self.seats.lock();
            let names = self.names.lock();
            let since = |seat: &Seat| self.opened.1 + Duration::from_millis(seat.since.into());
            let staying = seats.iter().filter(|(_, seat)| !seat.leaving && !seat.conn.is_closed());
            staying
                .map(|(key, seat)| Member {
                    number: seat.number,
                    conn: Arc::clone(&seat.conn),
                    since: since(seat),
                    name: names.get(&(key as u32)).cloned(),
                })
                .collect()
        };
        members.sort_unstable_by_key(|member| member.number);
        members
    }

    fn key_of(&self, number: u32) -> Option<u32> {
        self.seats.lock().iter().find(|(_, seat)| seat.number == number && !seat.leaving).map(|(key, _)| key as u32)
    }

    /// Names a client; false if it is gone.
    pub fn set_name(&self, number: u32, name: &str) -> bool {
        self.key_of(number).is_some_and(|key| {
            self.rename(key, name);
            true
        })
    }

    pub(super) fn rename(&self, key: u32, name: &str) {
        self.names.lock().insert(key, name.to_owned());
    }

    /// Sends to all clients, or all but one, and tells to how many. For those who have too much waiting it waits as long as `wait` lasts, and drops
    /// them then; on the reactor's own thread it drops them at once.
    ///
    /// # Errors
    /// [`Stop::Interrupted`](crate::core::wait::Stop): the caller asked to stop; some have got it.
    pub fn broadcast(&self, bytes: &[u8], but: Option<&Arc<Connection>>, wait: &mut Wait<'_>) -> Result<usize> {
        let members: Vec<_> = {
            let seats = self.seats.lock();
            let staying = seats.iter().filter(|(_, seat)| !seat.leaving);
            let others = staying.filter(|(_, seat)| but.is_none_or(|but| !Arc::ptr_eq(but, &seat.conn)));
            others.map(|(key, seat)| (key as u32, Arc::clone(&seat.conn))).collect()
        };
        // Nobody waits for those who have too much waiting before all others have got theirs.
        let (mut reached, mut full) = (0, vec![]);
        for (key, conn) in members {
            match self.post(key, &conn, bytes) {
                Posted::Taken => reached += 1,
                Posted::Full => full.push((key, conn)),
                Posted::Over => {}
            }
        }
        for (key, conn) in full {
            loop {
                let stop = if self.is_this_thread() { Err(Stop::WouldBlock) } else { conn.wait_writable(wait) };
                match stop {
                    Err(Stop::Interrupted) => return Err(Error::Interrupted),
                    Err(_) => self.order_out(key, conn, Some(TOO_SLOW)),
                    Ok(()) => match self.post(key, &conn, bytes) {
                        Posted::Full => continue,
                        Posted::Taken => reached += 1,
                        Posted::Over => {}
                    },
                }
                break;
            }
        }
        Ok(reached)
    }

    fn post(&self, key: u32, conn: &Connection, bytes: &[u8]) -> Posted {
        match conn.post(bytes, !self.is_this_thread()) {
            Ok(Some(left)) => {
                if left > 0 {
                    self.has_waiting(key);
                }
                Posted::Taken
            }
            Ok(None) => Posted::Full,
            // The reactor will see that for itself.
            Err(_) => Posted::Over,
        }
    }

    fn order_out(&self, key: u32, conn: Arc<Connection>, reason: Option<&'static str>) {
        self.inbox.lock().kicked.push((key, conn, reason));
        self.wake();
    }

    /// Closes a client, which the caller notes; false if it is gone. What waits for it is lost.
    pub fn kick(&self, conn: &Arc<Connection>) -> bool {
        let key = {
            let seats = self.seats.lock();
            seats.iter().find(|(_, seat)| Arc::ptr_eq(&seat.conn, conn) && !seat.leaving).map(|(key, _)| key as u32)
        };
        let Some(key) = key else { return false };
        self.order_out(key, Arc::clone(conn), None);
        true
    }

    /// What was noted since the last question, and how many older notes were not kept.
    pub fn notes(&self) -> (Vec<Note>, u64) {
        std::mem::take(&mut *self.notes.lock()).taken()
    }

    pub(super) fn note(&self, note: Note) {
        self.notes.lock().add(note);
    }

    pub(super) fn dropped(&self, key: u32, number: u32, conn: &Connection, reason: String) {
        let name = self.name_of(key);
        let peer = conn.peer_addr();
        self.note(Note::Dropped { number, name, peer, reason, at: SystemTime::now(), unsent: conn.unsent() });
    }

    pub(super) fn name_of(&self, key: u32) -> Option<String> {
        self.names.lock().get(&key).cloned()
    }

    pub(super) fn forget(&self, key: u32) {
        self.names.lock().remove(&key);
    }

    /// Stops listening, so that the port is free when this returns, and asks the reactor to be done within `time` with those who are here.
    pub fn stop(&self, time: Duration, patience: &mut dyn Patience) {
        self.listener.close(patience);
        self.inbox.lock().stop.get_or_insert(super::within(time));
        self.wake();
    }

    /// Closes all connections of a reactor that does not come to it, because its handler goes on.
    pub fn abandon(&self, patience: &mut dyn Patience) {
        let seats: Vec<_> =
            self.seats.lock().iter().map(|(key, seat)| (key as u32, seat.number, Arc::clone(&seat.conn), seat.leaving)).collect();
        for (key, number, conn, leaving) in seats {
            if !leaving && !conn.is_closed() {
                self.dropped(key, number, &conn, GOES_ON.into());
            }
            conn.close(patience);
        }
    }

    /// Waits until the reactor has ended, or as long as `patience` and `time` last; whether it has.
    pub fn join(&self, time: Option<Duration>, patience: &mut dyn Patience) -> bool {
        let until = time.map(super::within);
        loop {
            let mut over = false;
            let slice = patience.slice();
            patience.released(&mut || {
                let mut ended = self.over.0.lock();
                if !*ended {
                    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                    match left.into_iter().chain(slice).min() {
                        Some(time) => drop(self.over.1.wait_for(&mut ended, time)),
                        None => self.over.1.wait(&mut ended),
                    }
                }
                over = *ended;
            });
            if over || patience.check().is_err() || until.is_some_and(|until| Instant::now() >= until) {
                return over;
            }
        }
    }

    /// Whether the reactor has ended.
    pub fn is_over(&self) -> bool {
        *self.over.0.lock()
    }

    pub(super) fn is_over_now(&self) {
        *self.over.0.lock() = true;
        self.over.1.notify_all();
    }

    fn wake(&self) {
        if !self.is_this_thread() {
            // A reactor that cannot be woken looks at its inbox after its next event.
            let _woken = self.watch.wake();
        }
    }
}

impl Driver for Desk {
    fn has_waiting(&self, key: u32) {
        self.inbox.lock().waiting.push(key);
        self.wake();
    }

    fn finishes(&self, key: u32, conn: &Connection) {
        self.inbox.lock().finishing.push((key, std::ptr::from_ref(conn) as usize));
        self.wake();
    }

    fn leaves(&self, key: u32, socket: &Socket) {
        let _gone_with_its_descriptor = self.watch.remove(socket);
        self.inbox.lock().closed.push(key);
        self.wake();
    }

    fn is_this_thread(&self) -> bool {
        self.reactor.get() == Some(&std::thread::current().id())
    }

    fn name(&self) -> String {
        format!("the server's {}", self.handler.get().copied().unwrap_or("handler"))
    }
}

/// What became of bytes for one client.
enum Posted {
    /// It gets them.
    Taken,
    /// Too much waits for it already.
    Full,
    /// Its connection is over.
    Over,
}
