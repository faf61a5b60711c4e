//! The small services: Echo (RFC 862), Discard (RFC 863), Daytime (RFC 867), and Echo by lines.

use std::time::SystemTime;

use memchr::{memchr, memrchr};

use super::LINE_LIMIT;
use super::handler::{Client, Handler, Turn};

/// Sends every byte back as it comes (RFC 862).
#[derive(Debug, Default)]
pub struct Echo;

impl Handler for Echo {
    fn name(&self) -> &'static str {
        "Echo"
    }

    fn received(&mut self, turn: &mut Turn<'_>, client: Client<'_>, bytes: &[u8]) -> usize {
        turn.reply(client, bytes);
        bytes.len()
    }
}

/// Sends every line back once it is whole, and a last line without its end when the client finishes.
#[derive(Debug, Default)]
pub struct LineEcho;

/// Whether no line in `bytes` is longer than the limit. Looks only for a line's end within each limit's length.
pub(super) fn lines_fit(mut bytes: &[u8]) -> bool {
    while bytes.len() > LINE_LIMIT {
        match memrchr(b'\n', &bytes[..LINE_LIMIT]) {
            Some(end) => bytes = &bytes[end + 1..],
            None => return false,
        }
    }
    true
}

/// The reason for dropping who sends such a line.
pub(super) fn line_too_long() -> String {
    format!("it sent a line longer than {LINE_LIMIT} bytes")
}

impl Handler for LineEcho {
    fn name(&self) -> &'static str {
        "LineEcho"
    }

    fn received(&mut self, turn: &mut Turn<'_>, client: Client<'_>, bytes: &[u8]) -> usize {
        if !lines_fit(bytes) {
            turn.drop_client(client.key, line_too_long());
            return 0;
        }
        // What goes back is the same bytes, so the lines need not be told apart: they go out together.
        let whole = memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        if whole > 0 {
            turn.reply(client, &bytes[..whole]);
        }
        whole
    }

    fn finished(&mut self, turn: &mut Turn<'_>, client: Client<'_>, rest: &[u8]) {
        if !rest.is_empty() {
            turn.reply(client, rest);
        }
    }
}

/// Takes every byte and answers nothing (RFC 863).
#[derive(Debug, Default)]
pub struct Discard;

impl Handler for Discard {
    fn name(&self) -> &'static str {
        "Discard"
    }

    fn received(&mut self, _turn: &mut Turn<'_>, _client: Client<'_>, bytes: &[u8]) -> usize {
        bytes.len()
    }
}

/// Sends the date and time and finishes (RFC 867); what clients send is thrown away.
#[derive(Debug, Default)]
pub struct Daytime;

impl Handler for Daytime {
    fn name(&self) -> &'static str {
        "Daytime"
    }

    fn joined(&mut self, turn: &mut Turn<'_>, client: Client<'_>) {
        turn.reply(client, format!("{}\r\n", httpdate::fmt_http_date(SystemTime::now())).as_bytes());
        turn.finish(client);
    }

    fn received(&mut self, _turn: &mut Turn<'_>, _client: Client<'_>, bytes: &[u8]) -> usize {
        bytes.len()
    }
}

/// The first line of `bytes`, with its end.
pub(super) fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    memchr(b'\n', bytes).map(|end| &bytes[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_too_long_is_found_wherever_it_lies(lengths in proptest::collection::vec(0usize..2 * LINE_LIMIT, 1..5)) {
            let mut bytes = vec![];
            for &length in &lengths {
                bytes.resize(bytes.len() + length, b'x');
                bytes.push(b'\n');
            }
            prop_assert_eq!(lines_fit(&bytes), lengths.iter().all(|&length| length < LINE_LIMIT));
        }
    }
}
