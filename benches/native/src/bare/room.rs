//! The chat: what one client says, the others hear, with its number in front. All that goes to a client in one turn of the
//! loop goes out in one call at the end of the turn.

use std::io;

use memchr::memchr_iter;
use socklens_bench::Poll;

use crate::LONGEST;
use crate::clients::Clients;

/// What is being said in this turn.
#[derive(Default)]
pub(crate) struct Room {
    said: Vec<u8>,
    anything: bool,
}

impl Room {
    /// Takes the whole lines that one client said, and gives them to the others to be sent.
    pub(crate) fn hear(&mut self, clients: &mut Clients, speaker: usize, buffer: &mut [u8]) {
        let Some(client) = clients.get(speaker) else { return };
        if client.is_blocked() {
            // It is to read first what it was told; the end of the turn tries again.
            self.anything = true;
            return;
        }
        let (kept, filled) = match client.read_after_kept(buffer) {
            Ok(Some(ends)) => ends,
            Ok(None) => return,
            Err(_) => return clients.close(speaker),
        };
        let name = format!("client {speaker}: ");
        self.said.clear();
        let mut whole = 0;
        for end in memchr_iter(b'\n', &buffer[kept..filled]) {
            let line = &buffer[whole..=kept + end];
            self.said.extend_from_slice(name.as_bytes());
            self.said.extend_from_slice(line);
            whole = kept + end + 1;
        }
        if kept == filled || filled - whole >= LONGEST {
            clients.close(speaker);
        } else {
            client.keep(&buffer[whole..filled]);
        }
        if !self.said.is_empty() {
            self.anything = true;
            for (token, listener) in clients.all() {
                if token != speaker {
                    listener.out.extend_from_slice(&self.said);
                }
            }
        }
    }

    /// The end of a turn.
    pub(crate) fn tell_all(&mut self, clients: &mut Clients, poll: &Poll) -> io::Result<()> {
        if !std::mem::take(&mut self.anything) {
            return Ok(());
        }
        let mut gone = Vec::new();
        for (token, client) in clients.all() {
            if client.waits() && client.flush(token, poll).is_err() {
                gone.push(token);
            }
        }
        for token in gone {
            clients.close(token);
        }
        Ok(())
    }
}
