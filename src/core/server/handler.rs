//! What a server does with its clients' bytes: the trait that `echo`, `chat` and the binding's OnMessage implement, and what they may do in a turn.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use super::desk::Desk;
use crate::core::connection::Connection;

/// One client, as a handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its key at the desk, for as long as it stays.
    pub key: u32,
    /// Its connection.
    pub conn: &'a Arc<Connection>,
}

/// A way to serve. Every call comes from the reactor's thread and must not wait.
pub trait Handler: Send + Debug {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// Whether a client that does not take its answers is not read any more until it does. Where one client's bytes go to others, it is the reader
    /// who has to go: once [`WAITING_LIMIT`](crate::core::connection::WAITING_LIMIT) bytes wait for it, it is dropped.
    fn holds_back(&self) -> bool {
        true
    }

    /// A client has come.
    fn joined(&mut self, _turn: &mut Turn<'_>, _client: Client<'_>) {}

    /// All bytes of a client that are here, oldest first. Tells how many were used; the rest is seen again when more has come. Called with the
    /// lock of the client's input held: it must only copy, or reply.
    fn received(&mut self, turn: &mut Turn<'_>, client: Client<'_>, bytes: &[u8]) -> usize;

    /// Whether the last [`received`](Self::received) left whole messages unused, to be asked again soon: a client with many does not keep the others
    /// waiting, nor a kick or a stop.
    fn has_more(&self) -> bool {
        false
    }

    /// Comes right after [`received`](Self::received), without the lock.
    fn handle(&mut self, _turn: &mut Turn<'_>, _client: Client<'_>) {}

    /// A client has finished sending (FIN); `rest` is what was not used. It is closed when it has got what waits for it.
    fn finished(&mut self, _turn: &mut Turn<'_>, _client: Client<'_>, _rest: &[u8]) {}

    /// A client is gone.
    fn left(&mut self, _turn: &mut Turn<'_>, _key: u32) {}

    /// All that this turn's events brought was handled.
    fn turn_over(&mut self, _turn: &mut Turn<'_>) {}
}

/// What becomes of a client.
#[derive(Debug)]
pub(super) enum Fate {
    /// Bytes wait for it.
    Waits,
    /// Too much waits for it already.
    Full,
    /// It gets what waits for it and is closed then.
    Finish,
    /// It is closed, for this reason.
    Drop(String),
    /// It is closed; somebody knows why already.
    Close,
    /// Its socket failed: it is gone.
    Gone,
}

/// What a handler may do while it is called. Carried out by the reactor right after.
#[derive(Debug)]
pub struct Turn<'a> {
    pub(super) desk: &'a Desk,
    pub(super) holds_back: bool,
    pub(super) fates: Vec<(u32, Fate)>,
}

impl Turn<'_> {
    /// Sends bytes to a client, behind what waits for it already. If that is too much, and it is not held back, it is dropped.
    #[inline]
    pub fn reply(&mut self, client: Client<'_>, bytes: &[u8]) {
        let left = if self.holds_back {
            client.conn.reply(bytes)
        } else {
            match client.conn.post(bytes, true) {
                Ok(Some(left)) => Ok(left),
                Ok(None) => return self.fates.push((client.key, Fate::Full)),
                Err(error) => Err(error),
            }
        };
        self.note(client.key, left);
    }

    /// Lets bytes wait for a client until [`send`](Self::send), or until the turn is over.
    #[inline]
    pub fn queue(&mut self, client: Client<'_>, bytes: &[u8]) {
        if client.conn.let_wait(bytes).is_err() {
            self.fates.push((client.key, Fate::Gone));
        }
    }

    /// Sends a client what waits for it.
    pub fn send(&mut self, client: Client<'_>) {
        let left = client.conn.flush();
        self.note(client.key, left);
    }

    /// Lets a client finish: it gets what waits for it, then FIN.
    pub fn finish(&mut self, client: Client<'_>) {
        self.fates.push((client.key, Fate::Finish));
    }

    /// Closes a client for a reason that people are shown.
    pub fn drop_client(&mut self, key: u32, reason: String) {
        self.fates.push((key, Fate::Drop(reason)));
    }

    /// Closes a client for a reason that is shown elsewhere.
    pub fn close(&mut self, key: u32) {
        self.fates.push((key, Fate::Close));
    }

    /// Gives a client a name, which the roster shows.
    pub fn rename(&mut self, key: u32, name: &str) {
        self.desk.rename(key, name);
    }

    /// Whether nobody has decided that the client must go, or that the server ends.
    pub(super) fn may_go_on(&self, key: u32) -> bool {
        let inbox = self.desk.inbox.lock();
        inbox.stop.is_none() && inbox.kicked.iter().all(|&(kicked, ..)| kicked != key) && self.fates.iter().all(|&(gone, _)| gone != key)
    }

    /// A client's name, if it has one.
    pub fn name_of(&self, client: Client<'_>) -> Option<String> {
        self.desk.name_of(client.key)
    }

    pub(super) fn note(&mut self, key: u32, waiting: io::Result<usize>) {
        match waiting {
            Ok(0) => {}
            Ok(_) => self.fates.push((key, Fate::Waits)),
            Err(_) => self.fates.push((key, Fate::Gone)),
        }
    }
}
