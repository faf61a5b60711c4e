//! What the kernel tells of one connection. The fields, their places and their documentation are written once, in [`tcp_info_fields`];
//! the struct here, its parser and the Python class are made from that list. Parsing is a pure function of the kernel's bytes.

use super::state::TcpState;

/// Calls `$with` with every field of TCP_INFO: documentation, name, type, and the place in Linux's `struct tcp_info` (`linux/tcp.h`) as
/// `kind @ offset`. Only fields that the kernel's answer is long enough to hold are known; another system's backend fills in what it has.
#[macro_export]
macro_rules! tcp_info_fields {
    ($with:ident) => {
        $with! {
            /// Congestion state: 0 Open, 1 Disorder, 2 CWR, 3 Recovery, 4 Loss.
            ca_state: u8 = u8 @ 1,
            /// Retransmission timeouts in a row without an answer.
            retransmits: u8 = u8 @ 2,
            /// Unanswered zero-window or keepalive probes.
            probes: u8 = u8 @ 3,
            /// How often the retransmission timeout was doubled.
            backoff: u8 = u8 @ 4,
            /// Negotiated options as bits: 1 timestamps, 2 SACK, 4 window scaling, 8 ECN, 16 ECN seen, 32 SYN data acknowledged.
            options: u8 = u8 @ 5,
            /// The peer's window scale, as a power of two (RFC 7323).
            snd_wscale: u8 = low4 @ 6,
            /// This side's window scale, as a power of two (RFC 7323).
            rcv_wscale: u8 = high4 @ 6,
            /// Whether `delivery_rate` was limited by the program, which had nothing more to send.
            delivery_rate_app_limited: bool = bit0 @ 7,
            /// Retransmission timeout, in microseconds (RFC 6298).
            rto: u32 = u32 @ 8,
            /// Delayed-ACK timeout, in microseconds.
            ato: u32 = u32 @ 12,
            /// Largest segment that this side sends, in bytes.
            snd_mss: u32 = u32 @ 16,
            /// Largest segment expected from the peer, in bytes.
            rcv_mss: u32 = u32 @ 20,
            /// Segments sent and not acknowledged. On a listener: connections that wait to be accepted.
            unacked: u32 = u32 @ 24,
            /// Segments acknowledged selectively. On a listener: the backlog.
            sacked: u32 = u32 @ 28,
            /// Segments thought lost.
            lost: u32 = u32 @ 32,
            /// Retransmitted segments that are not acknowledged yet.
            retrans: u32 = u32 @ 36,
            /// Forward-acknowledged segments; 0 in today's kernels.
            fackets: u32 = u32 @ 40,
            /// Milliseconds since data was last sent.
            last_data_sent: u32 = u32 @ 44,
            /// Milliseconds since an ACK was last sent; 0 in Linux, which does not remember it.
            last_ack_sent: u32 = u32 @ 48,
            /// Milliseconds since data last came.
            last_data_recv: u32 = u32 @ 52,
            /// Milliseconds since an ACK last came.
            last_ack_recv: u32 = u32 @ 56,
            /// Path MTU, in bytes.
            pmtu: u32 = u32 @ 60,
            /// The receive window's present ceiling, in bytes.
            rcv_ssthresh: u32 = u32 @ 64,
            /// Smoothed round-trip time, in microseconds (RFC 6298).
            rtt: u32 = u32 @ 68,
            /// Variation of the round-trip time, in microseconds.
            rttvar: u32 = u32 @ 72,
            /// Slow-start threshold, in segments; 2147483647 before the first loss (RFC 5681).
            snd_ssthresh: u32 = u32 @ 76,
            /// Congestion window, in segments (RFC 5681).
            snd_cwnd: u32 = u32 @ 80,
            /// Largest segment that this side announced, in bytes.
            advmss: u32 = u32 @ 84,
            /// Segments by which the path is thought to reorder.
            reordering: u32 = u32 @ 88,
            /// Round-trip time estimated by the receiving side, in microseconds.
            rcv_rtt: u32 = u32 @ 92,
            /// Bytes that the program read in one round trip, from which the receive buffer is tuned.
            rcv_space: u32 = u32 @ 96,
            /// Segments retransmitted over the connection's life.
            total_retrans: u32 = u32 @ 100,
            /// Pacing rate, in bytes a second; all ones for no limit.
            pacing_rate: u64 = u64 @ 104,
            /// Largest pacing rate allowed, in bytes a second; all ones for no limit.
            max_pacing_rate: u64 = u64 @ 112,
            /// Bytes that the peer acknowledged, its ACK of the SYN included (RFC 4898 tcpEStatsAppHCThruOctetsAcked).
            bytes_acked: u64 = u64 @ 120,
            /// Bytes received in order (RFC 4898 tcpEStatsAppHCThruOctetsReceived).
            bytes_received: u64 = u64 @ 128,
            /// Segments sent, pure ACKs included.
            segs_out: u32 = u32 @ 136,
            /// Segments received, pure ACKs included.
            segs_in: u32 = u32 @ 140,
            /// Bytes taken from the program and not sent at all yet.
            notsent_bytes: u32 = u32 @ 144,
            /// Smallest round-trip time of the last five minutes, in microseconds; 4294967295 before the first sample.
            min_rtt: u32 = u32 @ 148,
            /// Segments received with data.
            data_segs_in: u32 = u32 @ 152,
            /// Segments sent with data.
            data_segs_out: u32 = u32 @ 156,
            /// Bytes a second lately delivered to the peer.
            delivery_rate: u64 = u64 @ 160,
            /// Microseconds spent with data to send.
            busy_time: u64 = u64 @ 168,
            /// Microseconds of those that the peer's window held it up.
            rwnd_limited: u64 = u64 @ 176,
            /// Microseconds of those that the send buffer held it up.
            sndbuf_limited: u64 = u64 @ 184,
            /// Segments delivered to the peer, retransmissions included.
            delivered: u32 = u32 @ 192,
            /// Segments of those that met congestion on their way (ECN).
            delivered_ce: u32 = u32 @ 196,
            /// Bytes sent, retransmissions included.
            bytes_sent: u64 = u64 @ 200,
            /// Bytes retransmitted.
            bytes_retrans: u64 = u64 @ 208,
            /// Segments that the peer reported twice (RFC 2883).
            dsack_dups: u32 = u32 @ 216,
            /// Times that reordering was seen.
            reord_seen: u32 = u32 @ 220,
            /// Segments received out of order.
            rcv_ooopack: u32 = u32 @ 224,
            /// The peer's advertised window, in bytes: how much it is willing to take.
            snd_wnd: u32 = u32 @ 228,
            /// This side's advertised window, in bytes: how much it is willing to take.
            rcv_wnd: u32 = u32 @ 232,
            /// Times that another path was tried after a timeout.
            rehash: u32 = u32 @ 236,
            /// Retransmission timeouts over the connection's life.
            total_rto: u16 = u16 @ 240,
            /// Times that the connection recovered from timeouts.
            total_rto_recoveries: u16 = u16 @ 242,
            /// Milliseconds spent in timeouts and recovery from them.
            total_rto_time: u32 = u32 @ 244,
        }
    };
}

macro_rules! define {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $kind:ident @ $at:literal,)*) => {
        /// All that the kernel tells of a connection; `None` where this one does not.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct TcpInfo {
            /// The state of the connection.
            pub state: Option<TcpState>,
            $($(#[$doc])* pub $name: Option<$type>,)*
        }

        impl TcpInfo {
            /// Understands the bytes of Linux's `struct tcp_info`, as many as there are.
            pub fn parse(bytes: &[u8]) -> Self {
                Self {
                    state: kind::u8(bytes, 0).and_then(TcpState::from_number),
                    $($name: kind::$kind(bytes, $at),)*
                }
            }
        }
    };
}

tcp_info_fields!(define);

/// How a field lies in the kernel's bytes; `None` where they end before it.
mod kind {
    macro_rules! number {
        ($($type:ident)*) => {
            $(pub(super) fn $type(bytes: &[u8], at: usize) -> Option<$type> {
                let end = at + size_of::<$type>();
                bytes.get(at..end)?.try_into().ok().map($type::from_ne_bytes)
            })*
        };
    }
    number!(u8 u16 u32 u64);

    // Bit fields start at the low end on the little-endian machines that Linux's tcp_info is read on here, and at the high end on others.
    pub(super) fn low4(bytes: &[u8], at: usize) -> Option<u8> {
        u8(bytes, at).map(|byte| if cfg!(target_endian = "little") { byte & 15 } else { byte >> 4 })
    }

    pub(super) fn high4(bytes: &[u8], at: usize) -> Option<u8> {
        u8(bytes, at).map(|byte| if cfg!(target_endian = "little") { byte >> 4 } else { byte & 15 })
    }

    pub(super) fn bit0(bytes: &[u8], at: usize) -> Option<bool> {
        u8(bytes, at).map(|byte| if cfg!(target_endian = "little") { byte & 1 } else { byte >> 7 } != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_where_the_kernel_writes_them() {
        let mut bytes = [0u8; 280];
        bytes[0] = 1;
        bytes[68..72].copy_from_slice(&1234u32.to_ne_bytes());
        bytes[120..128].copy_from_slice(&u64::MAX.to_ne_bytes());
        let info = TcpInfo::parse(&bytes);
        assert_eq!(info.state, Some(TcpState::ESTABLISHED));
        assert_eq!((info.rtt, info.bytes_acked, info.rto), (Some(1234), Some(u64::MAX), Some(0)));
    }

    #[test]
    fn an_older_kernels_shorter_answer_leaves_the_rest_unknown() {
        let info = TcpInfo::parse(&[1; 104]);
        assert!(info.total_retrans.is_some());
        assert_eq!((info.pacing_rate, info.snd_wnd), (None, None));
        assert_eq!(TcpInfo::parse(&[]), TcpInfo::default());
    }
}
