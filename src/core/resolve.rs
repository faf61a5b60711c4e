//! From a host name to addresses. A number is understood here; a name is asked of the system's resolver (getaddrinfo(3)) in a thread of
//! its own, since nothing can interrupt that call.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use dns_lookup::{AddrInfoHints, LookupError, getaddrinfo};
use parking_lot::{Condvar, Mutex};

use super::error::{Error, Result};
use super::readiness::Readiness;
use super::sys::Interest;
use super::wait::{Stop, Wait};

type Answer = std::result::Result<Vec<SocketAddr>, LookupError>;

/// All addresses of `host` with `port`, in the resolver's order (RFC 6724), each once.
///
/// # Errors
/// [`Error::Name`] if there are none, [`Error::Invalid`] for an empty name, or what ended the wait.
pub fn resolve(host: &str, port: u16, wait: &mut Wait<'_>) -> Result<Vec<SocketAddr>> {
    Lookup::start(host, port)?.answer(wait)
}

/// A question to the resolver, which may still be under way.
#[derive(Debug)]
pub(super) struct Lookup {
    host: String,
    port: u16,
    from: From,
}

#[derive(Debug)]
enum From {
    /// The host was an address itself.
    Itself(IpAddr),
    Resolver(Arc<Slot>),
}

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Asked {
    answer: Option<Answer>,
    /// The event loop that is to be told.
    told: Option<(Weak<Readiness>, u32)>,
}

impl Lookup {
    /// Asks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what cannot be a host.
    pub(super) fn start(host: &str, port: u16) -> Result<Self> {
        let lookup = |from| Ok(Self { host: host.to_owned(), port, from });
        if let Ok(ip) = host.parse::<IpAddr>() {
            if matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
                return Err(Error::Invalid(format!(
                    "{host} is a link-local address, which every link of this machine may have; say which one is meant: {host}%eth0 (RFC 4007)"
                )));
            }
            return lookup(From::Itself(ip));
        }
        if host.bytes().all(|byte| byte.is_ascii_digit()) && !host.is_empty() {
            return Err(Error::Invalid(format!("{host:?} is no host but looks like a port; the host comes first, as in 127.0.0.1:{host}")));
        }
        if host.is_empty() {
            return Err(Error::Invalid("the host is empty; \"127.0.0.1\" is this machine itself".into()));
        }
        if host.contains('\0') {
            return Err(Error::Invalid(format!("the host {host:?} has a NUL character in it")));
        }
        let slot = ask(host)
            .map_err(|error| super::reason::os(&error, &format!("look up the name {host:?}"), "no thread could be started for it"))?;
        lookup(From::Resolver(slot))
    }

    /// The addresses, each once.
    ///
    /// # Errors
    /// As [`resolve`].
    pub(super) fn answer(&self, wait: &mut Wait<'_>) -> Result<Vec<SocketAddr>> {
        let slot = match &self.from {
            From::Itself(ip) => return Ok(vec![SocketAddr::new(*ip, self.port)]),
            From::Resolver(slot) => slot,
        };
        let answer = slot.answer(wait).map_err(|stop| match stop {
            Stop::Interrupted => Error::Interrupted,
            Stop::WouldBlock => Error::WouldBlock(String::new()),
            _ => Error::TimedOut(format!("the resolver gave no answer for the name {:?} in time", self.host)),
        })?;
        let mut addresses = answer.map_err(|error| unknown(&self.host, &error))?;
        let mut seen = std::collections::HashSet::new();
        addresses.retain_mut(|addr| {
            addr.set_port(self.port);
            seen.insert(*addr)
        });
        Ok(addresses)
    }

    /// Asks to be told in an event loop when the answer has come; gives the key there.
    pub(super) fn ask(&self, readiness: &Arc<Readiness>) -> Option<u32> {
        let From::Resolver(slot) = &self.from else { return None };
        let mut state = slot.state.lock();
        if state.answer.is_some() {
            return None;
        }
        let key = readiness.new_key();
        readiness.expect(key, Interest::Write);
        state.told = Some((Arc::downgrade(readiness), key));
        Some(key)
    }
}

fn unknown(host: &str, error: &LookupError) -> Error {
    let words = super::reason::plain(&std::io::Error::new(std::io::ErrorKind::NotFound, error.to_string()));
    Error::Name {
        code: error.error_num(),
        message: format!(
            "the name {host:?} has no address ({}); check its spelling, or write the address itself, such as 127.0.0.1",
            words.trim_start_matches("failed to lookup address information: ")
        ),
    }
}

/// Starts the thread that asks.
fn ask(host: &str) -> std::io::Result<Arc<Slot>> {
    let slot = Arc::new(Slot::default());
    let asked = Arc::clone(&slot);
    let name = host.to_owned();
    std::thread::Builder::new().name("socklens-resolve".into()).spawn(move || {
        let hints = AddrInfoHints { socktype: dns_lookup::SockType::Stream.into(), ..AddrInfoHints::default() };
        let answer = getaddrinfo(Some(&name), None, Some(hints))
            .map(|found| found.filter_map(std::result::Result::ok).map(|info| info.sockaddr).collect());
        let told = {
            let mut state = asked.state.lock();
            state.answer = Some(answer);
            state.told.take()
        };
        asked.changed.notify_one();
        if let Some((readiness, key)) = told {
            if let Some(readiness) = readiness.upgrade() {
                readiness.stir(key, Interest::Write, false);
            }
        }
    })?;
    Ok(slot)
}

impl Slot {
    fn answer(&self, wait: &mut Wait<'_>) -> std::result::Result<Answer, Stop> {
        loop {
            if wait.deadline.is_attempt() {
                return self.state.lock().answer.take().ok_or(Stop::WouldBlock);
            }
            let sleep = wait.next_sleep();
            let mut answer = None;
            wait.patience.released(&mut || {
                let mut state = self.state.lock();
                if state.answer.is_none() {
                    match sleep {
                        Some(time) => {
                            self.changed.wait_for(&mut state, time);
                        }
                        None => self.changed.wait(&mut state),
                    }
                }
                answer = state.answer.take();
            });
            if let Some(answer) = answer {
                return Ok(answer);
            }
            wait.check()?;
            // A timeout of zero still waits for the name: there is no asking without waiting, and local names answer at once.
            if !wait.deadline.is_immediate() && wait.deadline.remaining().is_some_and(|left| left.is_zero()) {
                return Err(Stop::TimedOut);
            }
        }
    }
}
