//! The loop: wait for all sockets at once, accept, and let each connection do what it can. One turn of it never sleeps.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use polling::Events;
use slab::Slab;

use super::desk::{Desk, Drop as Dropping, LISTENER, Link, Order};
use super::relayed::{Bench, Fate, Relayed};
use super::side::Side;
use super::story::What;
use super::{Settings, refusing};
use crate::core::reason;
use crate::core::server::watch::{For, Watch};
use crate::core::sys;
use crate::core::wait::Patience;

/// One read takes so much at the most.
const SPACE: usize = 64 << 10;
/// Events that one turn takes from the kernel at the most.
const EVENTS: usize = 1024;
/// Clients that one turn accepts at the most.
const ACCEPTS: usize = 128;
/// After a failed accept, how long until the next try.
const PAUSE: Duration = Duration::from_millis(200);

/// A wire's loop, which somebody has to run.
#[derive(Debug)]
pub struct Relay {
    desk: Arc<Desk>,
    watch: Arc<Watch>,
    /// From the last to be tried to the first.
    targets: Vec<std::net::SocketAddr>,
    settings: Arc<Settings>,
    relayed: Slab<Relayed>,
    space: Box<[u8]>,
    accepted: u32,
    refuses: bool,
    /// After a failed accept: when to try again.
    pause: Option<Duration>,
}

/// Says that the loop has ended, however it did.
struct Over(Arc<Desk>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.is_over_now();
    }
}

impl Relay {
    pub(super) fn new(desk: Arc<Desk>, watch: Arc<Watch>, mut targets: Vec<std::net::SocketAddr>) -> Self {
        targets.reverse();
        let settings = desk.settings();
        let space = vec![0; SPACE].into_boxed_slice();
        Self { desk, watch, targets, settings, relayed: Slab::new(), space, accepted: 0, refuses: false, pause: None }
    }

    /// Relays until the desk is told to stop. Lets go of whatever `patience` holds only while it waits.
    pub fn run(mut self, patience: &mut dyn Patience) {
        let over = Over(Arc::clone(&self.desk));
        let mut events = Events::with_capacity(NonZeroUsize::MIN.saturating_add(EVENTS - 1));
        loop {
            self.wait(&mut events, patience);
            let wanted = self.desk.wanted();
            if wanted.stop {
                break;
            }
            let changed = !Arc::ptr_eq(&wanted.settings, &self.settings) || !wanted.orders.is_empty();
            self.settings = wanted.settings;
            wanted.told.into_iter().for_each(|told| self.desk.tell(0, None, What::Set(told)));
            self.listen_or_refuse();
            self.obey(&wanted.orders);
            self.take_in(&events);
            self.go_on(changed);
            self.desk.has_done(wanted.version);
        }
        self.wind_up();
        drop(self);
        drop(over);
    }

    fn wait(&mut self, events: &mut Events, patience: &mut dyn Patience) {
        let wakes = self.relayed.iter().filter_map(|(_, relayed)| relayed.wake());
        let now = self.desk.now();
        let sleep = wakes.chain(self.pause).min().map(|at| at.saturating_sub(now));
        patience.released(&mut || {
            if self.watch.wait(events, sleep).is_err_and(|error| error.kind() != std::io::ErrorKind::Interrupted) {
                // Nothing that a loop could mend; it must not run hot either.
                std::thread::sleep(PAUSE);
            }
        });
    }

    fn obey(&mut self, orders: &[Order]) {
        let now = self.desk.now();
        for order in orders {
            match order {
                Order::Finish(direction) => self.relayed.iter_mut().for_each(|(_, relayed)| relayed.finish(*direction, now)),
                Order::Reset => self.relayed.drain().for_each(|mut relayed| relayed.reset_now(&self.desk)),
            }
        }
    }

    /// Distributes the events. Clients come last: the place of a connection that leaves meanwhile is taken by none before all that was told of the old one
    /// has been heard.
    fn take_in(&mut self, events: &Events) {
        let mut clients = false;
        for event in events.iter() {
            if event.key == LISTENER {
                clients = true;
            } else if let Some(relayed) = self.relayed.get_mut(event.key / 2) {
                relayed.told(event.key % 2, event.readable, event.writable, &self.desk);
                self.pump(event.key / 2);
            }
        }
        if self.pause.is_some_and(|at| at <= self.desk.now()) {
            self.pause = None;
            self.watch_listener(For::READ);
            clients = true;
        }
        if clients {
            self.accept();
        }
    }

    /// Those whose time has come; all of them after a change.
    fn go_on(&mut self, changed: bool) {
        let now = self.desk.now();
        let due = |relayed: &Relayed| changed || relayed.wake().is_some_and(|at| at <= now);
        let places: Vec<usize> = self.relayed.iter().filter(|(_, relayed)| due(relayed)).map(|(place, _)| place).collect();
        for place in places {
            self.pump(place);
        }
    }

    fn pump(&mut self, place: usize) {
        let Some(relayed) = self.relayed.get_mut(place) else { return };
        let mut bench = Bench { desk: &self.desk, settings: &self.settings, space: &mut self.space };
        if relayed.pump(&mut bench) == Fate::Gone {
            self.relayed.remove(place);
        }
    }

    fn accept(&mut self) {
        if self.refuses {
            return;
        }
        for _ in 0..ACCEPTS {
            match self.desk.listener.take_now() {
                Ok(Some((socket, peer))) => self.welcome(socket, peer),
                Ok(None) => break,
                Err(_) if self.desk.listener.is_closed() => return,
                Err(error) => {
                    let why = if sys::is_out_of_descriptors(&error) { "; clients wait until some are closed" } else { "" };
                    self.desk.tell(0, None, What::Trouble(format!("accept: {}{why}", reason::plain(&error))));
                    self.pause = Some(self.desk.now() + PAUSE);
                    return self.watch_listener(For::NOTHING);
                }
            }
        }
        if self.watch.tells_once() {
            self.watch_listener(For::READ);
        }
    }

    fn watch_listener(&self, interest: For) {
        // A listener that has been closed has no clients to watch for.
        let _or_closed = self.desk.listener.with_socket("accept", |socket| self.watch.change(socket, LISTENER, interest));
    }

    fn welcome(&mut self, socket: socket2::Socket, peer: std::net::SocketAddr) {
        self.accepted += 1;
        let number = self.accepted;
        let entry = self.relayed.vacant_entry();
        let place = entry.key();
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        // One that has no address or takes no option any more is gone already.
        let Some(side) = local.and_then(|local| Side::new(socket, local, peer, Arc::clone(&self.watch), place * 2).ok()) else { return };
        let link = Arc::new(Link::new(number, peer, self.desk.now()));
        if let Some(how) = self.settings.drop {
            let mut dropped = Relayed::new(link, side, vec![], place, self.desk.seed);
            let reset = how == Dropping::Reset;
            dropped.leave(&self.desk, What::Dropped(peer, reset), reset);
            entry.insert(dropped);
            return self.pump(place);
        }
        self.desk.links.lock().push(Arc::clone(&link));
        let targets = if self.settings.silent { vec![] } else { self.targets.clone() };
        self.desk.tell(number, None, if self.settings.silent { What::Silent(peer) } else { What::Accepted(peer) });
        entry.insert(Relayed::new(link, side, targets, place, self.desk.seed));
        self.pump(place);
    }

    /// Makes the listener listen, or not, as is set. The kernel itself refuses then, and the port stays the wire's.
    fn listen_or_refuse(&mut self) {
        let refuse = self.settings.refuse;
        if refuse == self.refuses || self.desk.listener.is_closed() {
            return;
        }
        let local = self.desk.listener.local_addr();
        let done = self.desk.listener.with_socket("refuse", |socket| {
            let done = if refuse { refusing::refuse(socket, local) } else { refusing::listen(socket, local) };
            let listens = sys::is_listener(socket)?;
            match (self.refuses, listens) {
                (false, false) => self.watch.remove(socket)?,
                (true, true) => self.watch.add(socket, LISTENER, For::READ)?,
                _ => {}
            }
            Ok((done, listens))
        });
        // Closed in this moment, it has nothing to refuse any more.
        let Ok((done, listens)) = done else { return };
        self.refuses = !listens;
        match done {
            Ok(()) => self.desk.tell(0, None, What::Refuses(refuse)),
            Err(error) => {
                let stands = if listens { "; the wire goes on listening" } else { "; the wire goes on refusing" };
                let error = reason::bind_failed(reason::LISTEN, local, Some(true), &error).and(stands);
                self.desk.tell(0, None, What::Trouble(error.to_string()));
                self.desk.could_not(self.refuses, error);
            }
        }
    }

    /// The end: both ends of each connection are sent FIN, and what waits is lost.
    fn wind_up(&mut self) {
        let count = self.relayed.len();
        for mut relayed in self.relayed.drain() {
            relayed.let_go(&self.desk, false);
        }
        self.desk.tell(0, None, What::Ended(count));
    }
}
