//! A chat room. The first line of a client is its name; every later one goes to everybody else. All that a turn brought goes out to each
//! guest at once: a system call for every message would cost six times as much.

use std::collections::HashMap;
use std::sync::Arc;

use super::echo::{first_line, line_too_long, lines_fit};
use super::handler::{Client, Handler, Turn};
use crate::core::connection::Connection;

/// The longest name, in characters.
const NAME_LIMIT: usize = 32;

/// So many bytes of lines go out at once, and so much memory is kept for them.
const AT_ONCE: usize = 64 << 10;

/// A chat room by lines.
#[derive(Debug, Default)]
pub struct Chat {
    guests: HashMap<u32, Guest>,
    /// What was said in this turn, one line after the other, …
    lines: Vec<u8>,
    /// … by whom, and where each line ends.
    said: Vec<(u32, usize)>,
    /// The memory in which a guest's part is put together.
    part: Vec<u8>,
}

#[derive(Debug)]
struct Guest {
    conn: Arc<Connection>,
    name: Option<String>,
    /// How much had been said in this turn when it came in.
    heard: usize,
    /// Whether it has said something in this turn, which it does not hear itself.
    spoke: bool,
}

impl Chat {
    fn say(&mut self, by: u32, pieces: &[&[u8]]) {
        for piece in pieces {
            self.lines.extend_from_slice(piece);
        }
        self.said.push((by, self.lines.len()));
    }

    /// One line of a client's, without its end.
    fn line(&mut self, turn: &mut Turn<'_>, client: Client<'_>, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(guest) = self.guests.get_mut(&client.key) else { return };
        let Some(name) = &guest.name else { return self.enter(turn, client, line) };
        if !line.is_empty() {
            guest.spoke = true;
            self.lines.extend_from_slice(name.as_bytes());
            self.say(client.key, &[b": ", line, b"\n"]);
        }
    }

    fn enter(&mut self, turn: &mut Turn<'_>, client: Client<'_>, line: &[u8]) {
        let name = String::from_utf8_lossy(line).trim().to_owned();
        let length = name.chars().count();
        if length == 0 || length > NAME_LIMIT || name.chars().any(char::is_control) {
            let again = format!("* A name has 1 to {NAME_LIMIT} characters, all of them visible. Send another.\n");
            return turn.reply(client, again.as_bytes());
        }
        let mut others: Vec<&str> = self.guests.values().filter_map(|guest| guest.name.as_deref()).collect();
        if others.contains(&name.as_str()) {
            return turn.reply(client, format!("* {name} is here already. Send another name.\n").as_bytes());
        }
        others.sort_unstable();
        let company = if others.is_empty() { "Nobody else is here yet".into() } else { format!("Here: {}", others.join(", ")) };
        turn.reply(client, format!("* You are {name}. {company}.\n").as_bytes());
        turn.rename(client.key, &name);
        self.say(client.key, &[b"* ", name.as_bytes(), b" has joined.\n"]);
        if let Some(guest) = self.guests.get_mut(&client.key) {
            guest.name = Some(name);
            guest.spoke = true;
        }
    }
}

impl Handler for Chat {
    fn name(&self) -> &'static str {
        "Chat"
    }

    fn holds_back(&self) -> bool {
        false
    }

    fn joined(&mut self, turn: &mut Turn<'_>, client: Client<'_>) {
        self.guests.insert(client.key, Guest { conn: Arc::clone(client.conn), name: None, heard: self.said.len(), spoke: false });
        turn.reply(client, b"* Welcome. Send your name as your first line.\n");
    }

    fn received(&mut self, turn: &mut Turn<'_>, client: Client<'_>, bytes: &[u8]) -> usize {
        if !lines_fit(bytes) {
            turn.drop_client(client.key, line_too_long());
            return 0;
        }
        let mut used = 0;
        while let Some(line) = first_line(&bytes[used..]) {
            used += line.len();
            self.line(turn, client, &line[..line.len() - 1]);
        }
        used
    }

    fn handle(&mut self, turn: &mut Turn<'_>, _client: Client<'_>) {
        // What a turn of many clients brings would otherwise be put together for every guest before anybody's first byte goes out.
        if self.lines.len() > AT_ONCE {
            self.turn_over(turn);
        }
    }

    fn finished(&mut self, turn: &mut Turn<'_>, client: Client<'_>, rest: &[u8]) {
        if !rest.is_empty() {
            self.line(turn, client, rest);
        }
    }

    fn left(&mut self, _turn: &mut Turn<'_>, key: u32) {
        if let Some(name) = self.guests.remove(&key).and_then(|guest| guest.name) {
            self.say(key, &[b"* ", name.as_bytes(), b" has left.\n"]);
        }
    }

    fn turn_over(&mut self, turn: &mut Turn<'_>) {
        if self.said.is_empty() {
            return;
        }
        for (&key, guest) in &mut self.guests {
            let (heard, spoke) = (std::mem::take(&mut guest.heard), std::mem::take(&mut guest.spoke));
            let start = heard.checked_sub(1).map_or(0, |last| self.said[last].1);
            let part = if spoke {
                self.part.clear();
                let mut from = start;
                for &(by, end) in &self.said[heard..] {
                    if by != key {
                        self.part.extend_from_slice(&self.lines[from..end]);
                    }
                    from = end;
                }
                &self.part[..]
            } else {
                &self.lines[start..]
            };
            if !part.is_empty() {
                turn.reply(Client { key, conn: &guest.conn }, part);
            }
        }
        self.said.clear();
        self.lines.clear();
        self.lines.shrink_to(AT_ONCE);
        self.part.clear();
        self.part.shrink_to(AT_ONCE);
    }
}
