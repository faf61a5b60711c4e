//! From a host name to addresses. A number is understood here; a name is asked of the system's resolver (getaddrinfo(3)) in a thread of
//! its own, since nothing can interrupt that call.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dns_lookup::{AddrInfoHints, LookupError, getaddrinfo};
use parking_lot::{Condvar, Mutex};

use super::error::{Error, Result};
use super::wait::{Stop, Wait};

type Answer = std::result::Result<Vec<SocketAddr>, LookupError>;

/// All addresses of `host` with `port`, in the resolver's order (RFC 6724), each once.
///
/// # Errors
/// [`Error::Name`] if there are none, [`Error::Invalid`] for an empty name, or what ended the wait.
pub fn resolve(host: &str, port: u16, wait: &mut Wait<'_>) -> Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        if matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            return Err(Error::Invalid(format!(
                "{host} is a link-local address, which every link of this machine may have; say which one is meant: {host}%eth0 (RFC 4007)"
            )));
        }
        return Ok(vec![SocketAddr::new(ip, port)]);
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
    let answer = ask(host, wait).map_err(|stop| match stop {
        Stop::Interrupted => Error::Interrupted,
        Stop::Os(error) => super::reason::os(&error, &format!("look up the name {host:?}"), "no thread could be started for it"),
        _ => Error::TimedOut(format!("the resolver gave no answer for the name {host:?} in time")),
    })?;
    let mut addresses = answer.map_err(|error| unknown(host, &error))?;
    let mut seen = std::collections::HashSet::new();
    addresses.retain_mut(|addr| {
        addr.set_port(port);
        seen.insert(*addr)
    });
    Ok(addresses)
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

fn ask(host: &str, wait: &mut Wait<'_>) -> std::result::Result<Answer, Stop> {
    let slot = Arc::new((Mutex::new(None::<Answer>), Condvar::new()));
    let asked = Arc::clone(&slot);
    let name = host.to_owned();
    let start = std::thread::Builder::new().name("socklens-resolve".into()).spawn(move || {
        let hints = AddrInfoHints { socktype: dns_lookup::SockType::Stream.into(), ..AddrInfoHints::default() };
        let answer = getaddrinfo(Some(&name), None, Some(hints))
            .map(|found| found.filter_map(std::result::Result::ok).map(|info| info.sockaddr).collect());
        *asked.0.lock() = Some(answer);
        asked.1.notify_one();
    });
    start.map_err(Stop::Os)?;
    loop {
        let sleep = wait.next_sleep();
        let mut answer = None;
        wait.patience.released(&mut || {
            let mut slot_now = slot.0.lock();
            if slot_now.is_none() {
                match sleep {
                    Some(time) => {
                        slot.1.wait_for(&mut slot_now, time);
                    }
                    None => slot.1.wait(&mut slot_now),
                }
            }
            answer = slot_now.take();
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
