//! What others see and change of a wire while its relay runs: settings, orders, connections, the story. Locks are held for a copy; nobody waits here
//! for the relay but `join`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use socket2::Socket;

use super::story::{Event, Story, What};
use super::{Direction, Mischief};
use crate::core::connection::{Connection, Driver};
use crate::core::error::{Error, Result};
use crate::core::listener::Listener;
use crate::core::server::watch::{For, Watch};
use crate::core::sys;
use crate::core::wait::Patience;

/// The key under which the listener is watched; sockets have those of their places.
pub(super) const LISTENER: usize = usize::MAX - 1;

/// A turn of the relay's is over long before this.
const TURN: Duration = Duration::from_secs(2);

/// What becomes of new connections that are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// They are sent RST.
    Reset,
    /// They are sent FIN.
    Finish,
}

/// What is set: for both directions, and for the wire.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// By [`Direction`].
    pub mischief: [Mischief; 2],
    /// Nothing listens.
    pub refuse: bool,
    /// New connections are accepted and ended at once.
    pub drop: Option<Drop>,
    /// New connections are accepted, and nothing more.
    pub silent: bool,
}

/// What the relay is to do with all connections, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Finish(Direction),
    Reset,
}

#[derive(Debug)]
struct State {
    settings: Arc<Settings>,
    /// What is to be told of changes, as soon as they hold.
    told: Vec<String>,
    orders: Vec<Order>,
    /// Why the listener does not listen, or does, against what was set.
    unruly: Option<Error>,
    stop: bool,
    /// Changes and orders so far.
    version: u64,
}

/// What the relay takes from here at each turn.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) settings: Arc<Settings>,
    /// What of that has changed, in words.
    pub(super) told: Vec<String>,
    pub(super) orders: Vec<Order>,
    pub(super) stop: bool,
    pub(super) version: u64,
}

/// One relayed connection, as others see it: what the relay counts while it works.
#[derive(Debug)]
pub struct Link {
    /// The how manieth it is, from 1.
    pub number: u32,
    /// Where the client comes from.
    pub client: SocketAddr,
    /// Since the wire was opened.
    pub since: Duration,
    /// Bytes that the relay has given to the receiver's kernel, by direction.
    pub(super) passed: [AtomicU64; 2],
    /// Bytes that wait in the relay.
    pub(super) waiting: [AtomicUsize; 2],
    /// The relay's own address in its connection with the target, once there is one.
    pub(super) onward: Mutex<Option<SocketAddr>>,
    /// The inodes of its two sockets; 0 where that is not known.
    pub(super) inodes: [AtomicU64; 2],
}

impl Link {
    pub(super) fn new(number: u32, client: SocketAddr, since: Duration) -> Self {
        Self {
            number,
            client,
            since,
            passed: Default::default(),
            waiting: Default::default(),
            onward: Mutex::default(),
            inodes: Default::default(),
        }
    }

    /// Bytes that have passed: to the server, to the client.
    pub fn passed(&self) -> [u64; 2] {
        [self.passed[0].load(Relaxed), self.passed[1].load(Relaxed)]
    }

    /// Bytes that wait in the relay: for the server, for the client.
    pub fn waiting(&self) -> [usize; 2] {
        [self.waiting[0].load(Relaxed), self.waiting[1].load(Relaxed)]
    }

    /// The relay's own address in its connection with the target, once there is one.
    pub fn onward(&self) -> Option<SocketAddr> {
        *self.onward.lock()
    }

    /// By which numbers the kernel's table has the two sockets, where that is known: the one with the client, the one with the target.
    pub fn inodes(&self) -> [u64; 2] {
        [self.inodes[0].load(Relaxed), self.inodes[1].load(Relaxed)]
    }
}

/// See the top of this file.
#[derive(Debug)]
pub struct Desk {
    /// The relay's poller, which is gone with it.
    watch: Weak<Watch>,
    pub(super) listener: Arc<Listener>,
    pub(super) seed: u64,
    state: Mutex<State>,
    /// What is set of that, for those who must not wait for a lock.
    refuses: AtomicBool,
    pub(super) links: Mutex<Vec<Arc<Link>>>,
    story: Mutex<Story>,
    opened: (Instant, SystemTime),
    /// The version that the relay has carried out; the highest there is once it has ended.
    done: (Mutex<u64>, Condvar),
    process: u32,
}

impl Desk {
    pub(super) fn new(listener: Arc<Listener>, watch: &Arc<Watch>, seed: u64, settings: Settings) -> Result<Arc<Self>> {
        let desk = Arc::new(Self {
            watch: Arc::downgrade(watch),
            listener,
            seed,
            refuses: AtomicBool::new(settings.refuse),
            state: Mutex::new(State { settings: Arc::new(settings), told: vec![], orders: vec![], unruly: None, stop: false, version: 0 }),
            links: Mutex::default(),
            story: Mutex::default(),
            opened: (Instant::now(), SystemTime::now()),
            done: (Mutex::new(0), Condvar::new()),
            process: sys::generation(),
        });
        desk.listener.is_served_by(Arc::downgrade(&desk) as Weak<dyn Driver>);
        desk.listener.with_socket("Wire", |socket| watch.add(socket, LISTENER, For::READ))?;
        Ok(desk)
    }

    /// Since it was opened.
    pub fn now(&self) -> Duration {
        self.opened.0.elapsed()
    }

    /// When it was opened.
    pub fn opened(&self) -> SystemTime {
        self.opened.1
    }

    /// What is set now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.state.lock().settings)
    }

    /// Whether nothing listens, or shall listen. A forked child may ask: the lock of the rest may have been held in its parent.
    pub fn refuses(&self) -> bool {
        self.refuses.load(Relaxed)
    }

    /// Changes what is set; the story tells it when it holds, for which [`settle`](Self::settle) waits.
    ///
    /// # Errors
    /// [`Error::Closed`]; nothing is changed then.
    pub fn set(&self, told: String, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let mut state = self.state.lock();
        if state.stop {
            return Err(self.closed(&format!("{told} is not set")));
        }
        // Of an earlier change that nobody waited for to its end.
        state.unruly = None;
        let mut settings = Settings::clone(&state.settings);
        change(&mut settings);
        self.refuses.store(settings.refuse, Relaxed);
        state.settings = Arc::new(settings);
        state.told.push(told);
        Ok(())
    }

    fn closed(&self, doing: &str) -> Error {
        Error::Closed(format!("{doing}: the wire on {} was closed by this program", self.listener.local_addr()))
    }

    /// The relay could not make the listener do what was set; this is how it stands.
    pub(super) fn could_not(&self, refuses: bool, error: Error) {
        let mut state = self.state.lock();
        state.settings = Arc::new(Settings { refuse: refuses, ..Settings::clone(&state.settings) });
        self.refuses.store(refuses, Relaxed);
        state.unruly = Some(error);
    }

    /// Whether the listener has done what was set, once the relay has caught up.
    ///
    /// # Errors
    /// Why not, told once; `settings` say how it stands.
    pub fn listens_as_set(&self) -> Result<()> {
        self.state.lock().unruly.take().map_or(Ok(()), Err)
    }

    /// Sends FIN to all receivers of a direction, after what waits for them; what comes later is thrown away.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn finish(&self, direction: Direction) -> Result<()> {
        self.order(Order::Finish(direction))
    }

    /// Resets all connections, both ends of each.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn reset(&self) -> Result<()> {
        self.order(Order::Reset)
    }

    fn order(&self, order: Order) -> Result<()> {
        let mut state = self.state.lock();
        if state.stop {
            return Err(self.closed("nothing is ended"));
        }
        state.orders.push(order);
        Ok(())
    }

    /// What is set, what is ordered, whether to stop, and the version of all that.
    pub(super) fn wanted(&self) -> Wanted {
        let mut state = self.state.lock();
        let (told, orders) = (std::mem::take(&mut state.told), std::mem::take(&mut state.orders));
        Wanted { settings: Arc::clone(&state.settings), told, orders, stop: state.stop, version: state.version }
    }

    /// The relay has carried that out, and what has happened before it.
    pub(super) fn has_done(&self, version: u64) {
        let mut done = self.done.0.lock();
        if *done < version {
            *done = version;
            self.done.1.notify_all();
        }
    }

    /// Waits until the relay has carried out what was set and ordered, and has seen what has happened by now: one turn of its loop, which never sleeps.
    /// `false` if the relay has not come round in the time of many turns.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn catch_up(&self, patience: &mut dyn Patience) -> Result<bool> {
        let version = {
            let mut state = self.state.lock();
            state.version += 1;
            state.version
        };
        self.wake();
        self.wait_for(version, TURN, patience)
    }

    /// The same for one who has to know: `how` says how what was wanted stands without the relay's word.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`], or [`Error::Closed`].
    pub fn settle(&self, how: &str, patience: &mut dyn Patience) -> Result<()> {
        let came_round = self.catch_up(patience)?;
        if self.is_over() || self.state.lock().stop {
            return Err(self.closed(how));
        }
        if came_round {
            return Ok(());
        }
        let address = self.listener.local_addr();
        Err(Error::TimedOut(format!("{how}: the relay of the wire on {address} has not answered within {} s", TURN.as_secs())))
    }

    fn wait_for(&self, version: u64, time: Duration, patience: &mut dyn Patience) -> Result<bool> {
        let until = Instant::now() + time;
        loop {
            let slice = patience.slice().map_or(until, |slice| until.min(Instant::now() + slice));
            let mut is_done = false;
            patience.released(&mut || {
                let mut done = self.done.0.lock();
                while *done < version && !self.done.1.wait_until(&mut done, slice).timed_out() {}
                is_done = *done >= version;
            });
            if is_done {
                return Ok(true);
            }
            patience.check().map_err(|_| Error::Interrupted)?;
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    /// The connections that are open, in the order in which they came.
    pub fn links(&self) -> Vec<Arc<Link>> {
        self.links.lock().clone()
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> u64 {
        self.listener.accepted()
    }

    /// The story so far, oldest first, and how many older events are not kept.
    pub fn events(&self) -> (Vec<Event>, u64) {
        self.story.lock().told()
    }

    /// What is told has happened: whoever tells it has done it before.
    pub(super) fn tell(&self, connection: u32, direction: Option<Direction>, what: What) {
        self.story.lock().add(Event { at: self.now(), connection, direction, what });
    }

    /// Stops to listen, so that the port is free when this returns, and asks the relay to end.
    pub fn stop(&self, patience: &mut dyn Patience) {
        self.listener.close(patience);
        self.state.lock().stop = true;
        self.wake();
    }

    /// Whether the relay has ended.
    pub fn is_over(&self) -> bool {
        *self.done.0.lock() == u64::MAX
    }

    /// Waits until the relay has ended.
    ///
    /// # Errors
    /// [`Error::TimedOut`] after `time`, or [`Error::Interrupted`].
    pub fn join(&self, time: Duration, patience: &mut dyn Patience) -> Result<()> {
        if self.wait_for(u64::MAX, time, patience)? {
            return Ok(());
        }
        let (address, time) = (self.listener.local_addr(), time.as_secs());
        Err(Error::TimedOut(format!(
            "close: nothing listens on {address} any more, but the wire's relay has not ended within {time} s, so connections may be open still"
        )))
    }

    pub(super) fn is_over_now(&self) {
        self.links.lock().clear();
        self.has_done(u64::MAX);
    }

    /// Whether this process has it from its parent, in which the relay is.
    pub fn is_inherited(&self) -> bool {
        self.process != sys::generation()
    }

    fn wake(&self) {
        // A relay that cannot be woken looks here after its next event.
        let _woken = self.watch.upgrade().map(|watch| watch.wake());
    }
}

/// It drives no [`Connection`], only a listener, which somebody else may close.
impl Driver for Desk {
    fn has_waiting(&self, _key: u32) {}

    fn finishes(&self, _key: u32, _conn: &Connection) {}

    fn leaves(&self, _key: u32, socket: &Socket) {
        let _gone_with_its_descriptor = self.watch.upgrade().map(|watch| watch.remove(socket));
    }

    fn is_this_thread(&self) -> bool {
        false
    }

    fn name(&self) -> String {
        "the wire's relay".into()
    }
}
