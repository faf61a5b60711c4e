//! The states of a TCP connection (RFC 9293 section 3.3.2), numbered as Linux numbers them.

/// A state of TCP's state machine, by its name in the RFC.
#[allow(non_camel_case_types, reason = "these are the field's names, and Python shows them as they stand")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// Both sides may send.
    ESTABLISHED = 1,
    /// A connection attempt waits for the other side's answer.
    SYN_SENT,
    /// A listener has answered a SYN and waits for the last step of the handshake.
    SYN_RECEIVED,
    /// This side has finished; its FIN is not acknowledged yet.
    FIN_WAIT_1,
    /// This side has finished and the other has not.
    FIN_WAIT_2,
    /// Both have finished; the port pair rests so that late segments do not reach a successor.
    TIME_WAIT,
    /// No connection.
    CLOSED,
    /// The other side has finished; this side may still send.
    CLOSE_WAIT,
    /// Both have finished; this side's FIN is not acknowledged yet.
    LAST_ACK,
    /// Waits for clients.
    LISTEN,
    /// Both finished at the same moment.
    CLOSING,
}

impl TcpState {
    /// All of them, in Linux's order.
    pub const ALL: [Self; 11] = [
        Self::ESTABLISHED,
        Self::SYN_SENT,
        Self::SYN_RECEIVED,
        Self::FIN_WAIT_1,
        Self::FIN_WAIT_2,
        Self::TIME_WAIT,
        Self::CLOSED,
        Self::CLOSE_WAIT,
        Self::LAST_ACK,
        Self::LISTEN,
        Self::CLOSING,
    ];

    /// From Linux's number (`include/net/tcp_states.h`). `TCP_NEW_SYN_RECV` (12) is a SYN_RECEIVED too.
    pub fn from_number(number: u8) -> Option<Self> {
        if number == 12 {
            return Some(Self::SYN_RECEIVED);
        }
        Self::ALL.into_iter().find(|&state| state as u8 == number)
    }

    /// From the order that BSD systems and Windows use (`netinet/tcp_fsm.h`, `TCPSTATE`).
    #[cfg_attr(target_os = "linux", allow(dead_code, reason = "for the other systems"))]
    pub fn from_bsd(number: u32) -> Option<Self> {
        const ORDER: [TcpState; 11] = [
            TcpState::CLOSED,
            TcpState::LISTEN,
            TcpState::SYN_SENT,
            TcpState::SYN_RECEIVED,
            TcpState::ESTABLISHED,
            TcpState::CLOSE_WAIT,
            TcpState::FIN_WAIT_1,
            TcpState::CLOSING,
            TcpState::LAST_ACK,
            TcpState::FIN_WAIT_2,
            TcpState::TIME_WAIT,
        ];
        ORDER.get(usize::try_from(number).ok()?).copied()
    }

    /// What it means, in a line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ESTABLISHED => "connected: both sides may send",
            Self::SYN_SENT => "trying to connect: SYN sent, no answer yet",
            Self::SYN_RECEIVED => "a client's SYN was answered; the last step of the handshake is awaited",
            Self::FIN_WAIT_1 => "this side finished; its FIN is not acknowledged yet",
            Self::FIN_WAIT_2 => "this side finished; the other side may still send",
            Self::TIME_WAIT => "both sides finished; the pair of endpoints rests for a minute, so that late segments find no successor",
            Self::CLOSED => "no connection",
            Self::CLOSE_WAIT => "the other side finished; this side may still send, and has to close",
            Self::LAST_ACK => "both sides finished; this side's FIN is not acknowledged yet",
            Self::LISTEN => "waiting for clients",
            Self::CLOSING => "both sides finished at the same moment; the last ACK is awaited",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_linux_numbers() {
        for state in TcpState::ALL {
            assert_eq!(TcpState::from_number(state as u8), Some(state));
        }
        assert_eq!(TcpState::from_number(10), Some(TcpState::LISTEN));
        assert_eq!(TcpState::from_number(0), None);
        assert_eq!(TcpState::from_bsd(4), Some(TcpState::ESTABLISHED));
        assert_eq!(TcpState::from_bsd(11), None);
    }
}
