//! Making a connection in steps, none of which waits: for a task in an event loop. The attempts are those of `connect`.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::connect::{Attempts, Opening, attempt, check_port, unfinished};
use super::connection::Connection;
use super::error::{Error, Result};
use super::readiness::Readiness;
use super::record::Whose;
use super::resolve::Lookup;
use super::wait::{Stop, Wait};

/// A connection that is being made.
#[derive(Debug)]
pub struct Connecting {
    host: String,
    port: u16,
    opening: Opening,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    /// The host's addresses are being looked up, and the source's, if one was given; with the host's, once they are known.
    Names(Lookup, Option<Lookup>, Option<Vec<SocketAddr>>),
    /// One address after the other is tried; the connection is that of the attempt under way.
    Attempts(Attempts, Option<(SocketAddr, Box<Connection>)>),
    /// It was made, or given up.
    Over,
}

impl Connecting {
    /// Begins; [`step`](Self::step) goes on.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a host or a port that cannot be.
    pub fn start(host: &str, port: u16, opening: Opening) -> Result<Self> {
        check_port(port)?;
        let targets = Lookup::start(host, port)?;
        let sources = opening.source.as_ref().map(|(host, port)| Lookup::start(host, *port)).transpose()?;
        Ok(Self { host: host.to_owned(), port, opening, phase: Mutex::new(Phase::Names(targets, sources, None)) })
    }

    /// Goes on as far as it can without waiting; [`Error::WouldBlock`] is not there yet.
    ///
    /// # Errors
    /// As [`connect`](super::connect()).
    pub fn step(&self, wait: &mut Wait<'_>) -> Result<Connection> {
        // Taken out, so that no lock is held if the caller lets others run.
        let mut phase = std::mem::replace(&mut *self.phase.lock(), Phase::Over);
        let result = self.advance(&mut phase, wait);
        if wait.deadline.is_attempt() && matches!(result, Err(Error::WouldBlock(_))) {
            *self.phase.lock() = phase;
        }
        result
    }

    /// Gives it up: what has been begun is closed.
    pub fn give_up(&self) {
        let phase = std::mem::replace(&mut *self.phase.lock(), Phase::Over);
        drop(phase);
    }

    /// Asks for one event, to be told to an event loop as one of writing, when a step can be taken; gives the key. `None`: now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ask(&self, readiness: &Arc<Readiness>) -> Result<Option<u32>> {
        match &*self.phase.lock() {
            Phase::Names(targets, _, None) => Ok(targets.ask(readiness)),
            Phase::Names(_, sources, Some(_)) => Ok(sources.as_ref().and_then(|sources| sources.ask(readiness))),
            Phase::Attempts(_, Some((_, connection))) => connection.ask_to_write(readiness, 0),
            _ => Ok(None),
        }
    }

    /// Whose calls those of the attempt under way are; nobody's while names are looked up.
    pub fn whose(&self) -> Option<Whose> {
        match &*self.phase.lock() {
            Phase::Attempts(_, Some((_, connection))) => Some(connection.whose()),
            _ => None,
        }
    }

    fn advance(&self, phase: &mut Phase, wait: &mut Wait<'_>) -> Result<Connection> {
        if let Phase::Names(targets, sources, found) = phase {
            if found.is_none() {
                *found = Some(targets.answer(wait)?);
            }
            let from = match sources {
                Some(sources) => sources.answer(wait)?,
                None => Vec::new(),
            };
            let found = found.take().unwrap_or_default();
            *phase = Phase::Attempts(Attempts::new(&self.host, self.port, found, from), None);
        }
        let Phase::Attempts(attempts, current) = phase else {
            return Err(Error::Closed(format!("connect to {}:{} was given up", self.host, self.port)));
        };
        let no_wait = Opening { wait: false, ..self.opening.clone() };
        loop {
            let (target, connection) = match current.take() {
                Some((target, connection)) => (target, *connection),
                None => {
                    let Some((target, source)) = attempts.next() else { return Err(attempts.error()) };
                    match attempt(target, source, &no_wait, wait) {
                        Ok(connection) => (target, connection),
                        Err(error) => {
                            attempts.failed(target, error);
                            continue;
                        }
                    }
                }
            };
            if !self.opening.wait {
                return Ok(connection);
            }
            let timeout = wait.deadline.timeout();
            let error = match connection.wait_connected(wait) {
                Ok(()) => return Ok(connection),
                Err(error @ Error::WouldBlock(_)) if wait.deadline.is_attempt() => {
                    *current = Some((target, Box::new(connection)));
                    return Err(error);
                }
                Err(Error::WouldBlock(_)) => unfinished(target, &Stop::WouldBlock, timeout),
                Err(Error::TimedOut(_)) => unfinished(target, &Stop::TimedOut, timeout),
                Err(error @ Error::Interrupted) => return Err(error),
                Err(error) => {
                    attempts.failed(target, error);
                    continue;
                }
            };
            // The deadline is not about this address alone.
            attempts.failed(target, error);
            return Err(attempts.error());
        }
    }
}
