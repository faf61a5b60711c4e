//! The same table as text, /proc/net/tcp and tcp6 (proc_net(5)), understood: for systems that refuse sock_diag. Pure functions of text.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Row;
use super::diag::{outstanding, received};
use crate::core::state::TcpState;

/// The kernel tells time here in hundredths of a second, whatever its own clock is (USER_HZ, time(7)).
const TICK: Duration = Duration::from_millis(10);
const TIME_WAIT_TIMER: &str = "03";

/// The rows of one file; lines that make no sense are left out.
pub(super) fn parse(text: &str) -> impl Iterator<Item = Row> + '_ {
    text.lines().skip(1).filter_map(row)
}

/// The file is read in pieces, and what the kernel's table loses or gains in between can show it the same socket again.
pub(super) fn each_once(mut rows: Vec<Row>) -> Vec<Row> {
    let mut seen = HashSet::with_capacity(rows.len());
    // Several listeners may share an address (SO_REUSEPORT); a connection has its pair of addresses for itself.
    rows.retain(|row| seen.insert((row.local, row.peer, row.peer.is_none().then_some(row.inode))));
    rows
}

fn row(line: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, peer, state) = (endpoint(words.next()?)?, endpoint(words.next()?)?, words.next()?);
    let state = TcpState::from_number(u8::from_str_radix(state, 16).ok()?)?;
    let (send, recv) = words.next()?.split_once(':')?;
    let (send, recv) = (u32::from_str_radix(send, 16).ok()?, u32::from_str_radix(recv, 16).ok()?);
    let (timer, ticks) = words.next()?.split_once(':')?;
    let ticks = u32::from_str_radix(ticks, 16).ok()?;
    let uid = words.nth(1)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    let listens = state == TcpState::LISTEN;
    Some(Row {
        local,
        peer: (!listens && state != TcpState::CLOSED).then_some(peer),
        state,
        v6: local.is_ipv6(),
        v6only: None,
        recv_queue: if listens { 0 } else { received(state, recv) },
        send_queue: if listens { 0 } else { outstanding(state, send) },
        accept_queue: listens.then_some(recv),
        accept_limit: None,
        rests: (timer == TIME_WAIT_TIMER).then(|| TICK * ticks),
        uid,
        inode,
        cookie: 0,
        arrived: None,
        written: None,
    })
}

/// `0100007F:1A0A`: 32-bit words in the machine's own order, then the port.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(host.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match host.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const RECORDED: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 6500007F:1A0A 00000000:0000 0A 00000000:00000001 00:00000000 00000000  1000        0 15963 1 0000000000000000 100 0 0 10 0
   1: 6500007F:1A0A 6E00007F:C490 08 00000000:00000006 00:00000000 00000000  1000        0 15964 1 0000000000000000 20 4 0 10 -1
   2: 6500007F:1A0A 7300007F:9E48 06 00000000:00000000 03:00001762 00000000     0        0 0 3 0000000000000000
   3: nonsense
";

    #[test]
    fn recorded_lines() {
        let rows: Vec<Row> = parse(RECORDED).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[0].local, rows[0].peer), ("127.0.0.101:6666".parse().unwrap(), None));
        assert_eq!((rows[0].state, rows[0].accept_queue, rows[0].accept_limit), (TcpState::LISTEN, Some(1), None));
        assert_eq!((rows[0].uid, rows[0].inode), (1000, 15963));
        assert_eq!(rows[1].peer, Some("127.0.0.110:50320".parse().unwrap()));
        assert_eq!((rows[1].state, rows[1].recv_queue), (TcpState::CLOSE_WAIT, 5), "the FIN is no byte");
        assert_eq!((rows[2].state, rows[2].rests, rows[2].inode), (TcpState::TIME_WAIT, Some(Duration::from_millis(59_860)), 0));
    }

    #[test]
    fn a_socket_that_is_told_twice_is_there_once() {
        let twice = format!("{RECORDED}{}", RECORDED.lines().skip(1).fold(String::new(), |text, line| text + line + "\n"));
        assert_eq!(each_once(parse(&twice).collect()), parse(RECORDED).collect::<Vec<_>>());
        let another = RECORDED.lines().take(2).map(|line| line.replace("15963", "15970") + "\n").collect::<String>();
        assert_eq!(each_once(parse(RECORDED).chain(parse(&another)).collect()).len(), 4, "a listener that shares the address");
    }

    #[test]
    fn ipv6_and_mapped_addresses() {
        assert_eq!(endpoint("00000000000000000000000001000000:0050"), Some("[::1]:80".parse().unwrap()));
        assert_eq!(endpoint("0000000000000000FFFF00000100007F:0050"), Some("[::ffff:127.0.0.1]:80".parse().unwrap()));
        for broken in ["", "0100007F", "0100007F:", "01007F:0050", "0100007F:FFFFF", "é100007F:0050", "G100007F:0050"] {
            assert_eq!(endpoint(broken), None, "{broken:?}");
        }
    }
}
