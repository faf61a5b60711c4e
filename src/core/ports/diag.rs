//! The messages of sock_diag(7): a question to the kernel as bytes, and its answers understood. Pure functions; nothing here makes a system call.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use super::Row;
use crate::core::info::TcpInfo;
use crate::core::state::TcpState;

const HEADER: usize = 16; // struct nlmsghdr
const MESSAGE: usize = 72; // struct inet_diag_msg
const BY_FAMILY: u16 = 20; // SOCK_DIAG_BY_FAMILY
const OF_TCP: u16 = 18; // TCPDIAG_GETSOCK
const REQUEST: u16 = 1; // NLM_F_REQUEST
const DUMP: u16 = 0x300; // NLM_F_ROOT | NLM_F_MATCH
const ERROR: u16 = 2; // NLMSG_ERROR
const DONE: u16 = 3; // NLMSG_DONE
const INFO: u16 = 2; // INET_DIAG_INFO
const V6ONLY: u16 = 11; // INET_DIAG_SKV6ONLY
const TIME_WAIT_TIMER: u8 = 3;

/// Every state, and sockets that are bound and do nothing else (TCPF_BOUND_INACTIVE, Linux 6.8; older kernels pass over it).
pub(super) const EVERYTHING: u32 = 0xfff | 1 << 12 | 1 << 13;
/// Listeners alone: the kernel has a table of its own for them.
pub(super) const LISTENERS: u32 = 1 << TcpState::LISTEN as u32;
/// Sockets that are bound and do nothing else, alone.
pub(super) const BOUND: u32 = 1 << 13;
/// Connections, whatever their state.
pub(super) const CONNECTED: u32 = EVERYTHING & !(LISTENERS | BOUND | 1 << TcpState::CLOSED as u32);

/// The family of sockets that a question is about, by its number (ip(7), ipv6(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Family {
    V4 = 2,
    V6 = 10,
}

/// Asks for all sockets of a family in any of `states` (a bit for each), with these ports; 0 is any.
pub(super) fn dump(family: Family, states: u32, local_port: u16, peer_port: u16) -> Vec<u8> {
    let (local, peer) = (SocketAddr::new(nobody(family), local_port), SocketAddr::new(nobody(family), peer_port));
    question(family, states, local, peer, DUMP, [0; 8])
}

/// Asks for the sockets of both families at once, in the older form of the question, which names none: the kernel then goes through its table of
/// connections once and not twice, 4 ms each (perf, 10,000 connections). As [`dump`] else.
pub(super) fn dump_both(states: u32, local_port: u16, peer_port: u16) -> Vec<u8> {
    let mut bytes = dump(Family::V4, states, local_port, peer_port);
    // `struct inet_diag_req` has the same length: family, the lengths of addresses, extensions; the endpoints; states; a second bit field.
    let (states, ends) = (bytes[20..24].to_vec(), bytes[24..72].to_vec());
    bytes[4..6].copy_from_slice(&OF_TCP.to_ne_bytes());
    bytes[16..20].fill(0);
    bytes[20..68].copy_from_slice(&ends);
    bytes[68..72].copy_from_slice(&states);
    bytes.extend([0; 4]);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

/// Asks for the socket between two endpoints, with its TCP_INFO. The kernel answers with the listener if there is no such connection.
pub(super) fn exact(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { Family::V4 } else { Family::V6 };
    let mut bytes = question(family, EVERYTHING, local, peer, 0, [0xff; 8]); // INET_DIAG_NOCOOKIE
    bytes[HEADER + 2] = 1 << (INFO - 1); // idiag_ext
    bytes
}

fn nobody(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2` (linux/inet_diag.h).
fn question(family: Family, states: u32, local: SocketAddr, peer: SocketAddr, flags: u16, cookie: [u8; 8]) -> Vec<u8> {
    const TCP: u8 = 6;
    let mut bytes = Vec::with_capacity(HEADER + 56);
    bytes.extend((HEADER as u32 + 56).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend((REQUEST | flags).to_ne_bytes());
    bytes.extend([0; 8]); // sequence and sender: one question a socket needs neither
    bytes.extend([family as u8, TCP, 0, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(peer.port().to_be_bytes());
    bytes.extend(address(local.ip()));
    bytes.extend(address(peer.ip()));
    let zone = if let SocketAddr::V6(v6) = local { v6.scope_id() } else { 0 };
    bytes.extend(zone.to_ne_bytes());
    bytes.extend(cookie);
    bytes
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
    }
}

/// What the kernel has said so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// There is more to read.
    More,
    /// That was all of a dump.
    All,
    /// It refused, with this errno; ENOENT answers [`exact`] where there is no such socket.
    Refused(i32),
}

/// Reads what one recv(2) brought, any number of whole messages, and adds their rows.
pub(super) fn parse(mut bytes: &[u8], rows: &mut Vec<Row>) -> Said {
    while let (Some(length), Some(kind)) = (u32_at(bytes, 0), u16_at(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { return Said::Refused(BAD_MESSAGE) };
        match kind {
            DONE | ERROR => {
                return match u32_at(body, 0).map_or(0, |code| i32::from_ne_bytes(code.to_ne_bytes()).wrapping_neg()) {
                    0 => Said::All,
                    errno => Said::Refused(errno),
                };
            }
            BY_FAMILY | OF_TCP => rows.extend(row(body)),
            _ => {}
        }
        // Messages begin at multiples of four (NLMSG_ALIGN).
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Said::More
}

const BAD_MESSAGE: i32 = libc::EBADMSG;

/// `struct inet_diag_msg` and the attributes behind it.
fn row(body: &[u8]) -> Option<Row> {
    let (message, attributes) = body.split_at_checked(MESSAGE)?;
    let (v6, number, timer) = (message[0] == Family::V6 as u8, message[1], message[2]);
    let state = TcpState::from_number(number)?;
    let zone = u32_at(message, 40)?;
    let local = endpoint(v6, be16_at(message, 4)?, message.get(8..24)?, zone)?;
    let peer = endpoint(v6, be16_at(message, 6)?, message.get(24..40)?, zone)?;
    let (expires, recv, send) = (u32_at(message, 52)?, u32_at(message, 56)?, u32_at(message, 60)?);
    let only = attribute(attributes, V6ONLY).and_then(|value| value.first()).map(|&only| only != 0);
    let listens = state == TcpState::LISTEN;
    let info = attribute(attributes, INFO).map(TcpInfo::parse);
    Some(Row {
        local,
        peer: (!listens && state != TcpState::CLOSED).then_some(peer),
        state,
        v6,
        v6only: only.filter(|_| v6),
        recv_queue: if listens { 0 } else { received(state, recv) },
        send_queue: if listens { 0 } else { outstanding(state, send) },
        accept_queue: listens.then_some(recv),
        accept_limit: listens.then_some(send),
        rests: (timer == TIME_WAIT_TIMER).then(|| Duration::from_millis(expires.into())),
        uid: u32_at(message, 64)?,
        inode: u32_at(message, 68)?.into(),
        cookie: u64::from(u32_at(message, 44)?) | u64::from(u32_at(message, 48)?) << 32,
        arrived: info.as_ref().and_then(|info| info.bytes_received),
        written: info.as_ref().and_then(written),
    })
}

/// All that has been sent once, and what has not been sent yet; the latter has a FIN in it that has not been sent either.
fn written(info: &TcpInfo) -> Option<u64> {
    Some(info.bytes_sent?.saturating_sub(info.bytes_retrans?) + u64::from(info.notsent_bytes?))
}

/// The kernel counts in sequence numbers, of which a FIN has one until recv has reported the end of the stream.
pub(super) fn received(state: TcpState, queue: u32) -> u32 {
    match state {
        TcpState::CLOSE_WAIT | TcpState::LAST_ACK | TcpState::CLOSING => queue.saturating_sub(1),
        _ => queue,
    }
}

/// A SYN and a FIN have one number each, which is outstanding in these states.
pub(super) fn outstanding(state: TcpState, queue: u32) -> u32 {
    match state {
        TcpState::SYN_SENT | TcpState::FIN_WAIT_1 | TcpState::CLOSING | TcpState::LAST_ACK => queue.saturating_sub(1),
        _ => queue,
    }
}

fn endpoint(v6: bool, port: u16, bytes: &[u8], zone: u32) -> Option<SocketAddr> {
    if !v6 {
        let v4: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        return Some(SocketAddr::new(Ipv4Addr::from(v4).into(), port));
    }
    let ip = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
    // The interface is any that the socket is bound to; only in these addresses does it tell hosts apart.
    Some(SocketAddrV6::new(ip, port, 0, if ip.is_unicast_link_local() { zone } else { 0 }).into())
}

/// The value of an attribute (`struct nlattr`, netlink(7)).
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let (Some(length), Some(kind)) = (u16_at(bytes, 0), u16_at(bytes, 2)) {
        let length = usize::from(length);
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn be16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    // A dual-stack listener on port 38847 with backlog 7 and one client in its queue; a connection accepted from it, of which the client has sent
    // five bytes and closed; the client in the queue. Recorded on Linux 6.18.
    const LISTENER: &str = "8400000014000200000000008d1600000a0a000097bf0000000000000000000000000000000000000000000000000000000000000000000\
        0000000005f29020000000000000000000100000007000000000000000ecb8f00050008000000000005000b000000000008000f00000000000c00150001000\
        0000000000006001600120000 00";
    const ACCEPTED: &str = "7c00000014000200000000008d1600000a08000097bfc6ee00000000000000000000ffff7f00000100000000000000000000ffff7f0000010\
        000000060290200000000000000000006000000000000000000000010cb8f00050008000100000008000f00000000000c0015000100000000000000060016\
        0012000000";
    const QUEUED: &str = "7c00000014000200000000008d1600000a01000097bfc6f400000000000000000000ffff7f00000100000000000000000000ffff7f000001000\
        0000061290200000000000000000000000000000000000000000000000000050008000000000008000f00000000000c001500010000000000000006001600\
        12000000";
    const END: &str = "1400000003000200000000008d16000000000000";

    fn bytes(recorded: &[&str]) -> Vec<u8> {
        let digits: Vec<char> = recorded.concat().chars().filter(char::is_ascii_hexdigit).collect();
        digits.chunks(2).filter_map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).ok()).collect()
    }

    #[test]
    fn recorded_answers() {
        let mut rows = Vec::new();
        assert_eq!(parse(&bytes(&[LISTENER, ACCEPTED, QUEUED]), &mut rows), Said::More);
        assert_eq!(parse(&bytes(&[END]), &mut rows), Said::All);
        assert_eq!(rows.len(), 3);
        let listener = &rows[0];
        assert_eq!((listener.state, listener.local, listener.peer), (TcpState::LISTEN, "[::]:38847".parse().unwrap(), None));
        assert_eq!((listener.accept_queue, listener.accept_limit, listener.v6only), (Some(1), Some(7), Some(false)));
        assert_eq!((listener.recv_queue, listener.send_queue), (0, 0));
        let accepted = &rows[1];
        assert_eq!((accepted.state, accepted.recv_queue), (TcpState::CLOSE_WAIT, 5), "the FIN is no byte");
        assert_eq!(accepted.peer, Some("[::ffff:127.0.0.1]:50926".parse().unwrap()));
        assert_eq!((accepted.inode, accepted.cookie, accepted.uid), (0x8f_cb10, 0x2_2960, 0));
        assert_eq!((rows[2].state, rows[2].inode, rows[2].accept_queue), (TcpState::ESTABLISHED, 0, None));
    }

    #[test]
    fn what_is_cut_off_is_no_row() {
        let whole = bytes(&[ACCEPTED]);
        for length in 0..whole.len() {
            let mut rows = Vec::new();
            let said = parse(&whole[..length], &mut rows);
            assert!(rows.is_empty(), "{length} bytes gave {rows:?}");
            assert!(matches!(said, Said::More | Said::Refused(libc::EBADMSG)), "{length}: {said:?}");
        }
        // A message that says it is shorter than its own header.
        let mut short = whole;
        short[..4].copy_from_slice(&8u32.to_ne_bytes());
        assert_eq!(parse(&short, &mut Vec::new()), Said::Refused(libc::EBADMSG));
    }

    #[test]
    fn a_refusal_has_its_number() {
        let mut error = bytes(&[END]);
        error[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        error[16..20].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        assert_eq!(parse(&error, &mut Vec::new()), Said::Refused(libc::ENOENT));
    }

    #[test]
    fn time_wait_has_its_timer() {
        let mut resting = bytes(&[QUEUED]);
        resting[17] = TcpState::TIME_WAIT as u8;
        resting[18] = TIME_WAIT_TIMER;
        resting[68..72].copy_from_slice(&59_860u32.to_ne_bytes());
        let mut rows = Vec::new();
        parse(&resting, &mut rows);
        assert_eq!((rows[0].state, rows[0].rests), (TcpState::TIME_WAIT, Some(Duration::from_millis(59_860))));
    }

    #[test]
    fn a_question_as_the_kernel_reads_it() {
        let asked = exact("127.0.0.1:6666".parse().unwrap(), "127.0.0.110:50320".parse().unwrap());
        assert_eq!(asked.len(), 72);
        assert_eq!(asked[..16], [72, 0, 0, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(asked[16..20], [2, 6, 2, 0]);
        assert_eq!(asked[24..28], [0x1a, 0x0a, 0xc4, 0x90]);
        assert_eq!((&asked[28..32], &asked[44..48]), (&[127, 0, 0, 1][..], &[127, 0, 0, 110][..]));
        assert_eq!(asked[64..], [0xff; 8], "any cookie");
        let all = dump(Family::V6, EVERYTHING, 80, 0);
        assert_eq!((all[6..8].to_vec(), all[16], all[24..28].to_vec()), (vec![1, 3], 10, vec![0, 80, 0, 0]));
    }
}
