"""Why a call on a connection or listener did not give what was asked: reset, broken pipe, nothing came, a frame that is not one. Looks at
both ends where this program has both; takes no byte.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from .. import Connection, Listener, TcpState
from .._address import Address
from ..display.escape import escape
from . import _accepted, _process, _servers, _tables, _wires
from ._case import Case, count, queue, shown
from ._diagnosis import Cause

if TYPE_CHECKING:
    from ._process import Named

Verdict = tuple[Cause, str]

_FINISHED = frozenset("FIN_WAIT_1 FIN_WAIT_2 CLOSING LAST_ACK TIME_WAIT".split())
_WRITES = frozenset("send sendall send_frame sendto sendfile".split())
_FIRST_WORDS = 64  # bytes of an input buffer that a fact may be made of


def reset(case: Case) -> Verdict:
    """ECONNRESET or ECONNABORTED: the peer sent RST."""
    if found := _servers.told_of_client(case):
        return (Cause.RESET_UNREAD if found.unread else Cause.RESET), found.step
    there = case.partner
    if there is None and (wire := _wires.told(case)) is not None:
        return Cause.RESET, wire.step
    if there is None:
        return _reset_by_whom(case)
    thing = there[1]
    if not _process.is_closed(thing):
        case.saw(f"the other end is {_process.called(there)}, and still open", "the objects of this program")
        return Cause.RESET, "Something between the two has ended the connection: connect anew"
    case.saw(f"the other end is {_process.called(there)}; {_process.closing(thing)}", "Connection.closed_at")
    unread = _unread(case, thing)
    if unread:
        return Cause.RESET_UNREAD, (
            f'Let {_process.by_name(there)} read until recv() gives b"" before it closes: '
            f"close() with {count(unread)} unread sends RST instead of FIN"
        )
    return (
        Cause.RESET,
        "It had nothing unread, so it was abort(), or close() with linger 0: use close() alone, which sends FIN",
    )


def _unread(case: Case, there: object) -> int:
    """Bytes that this side sent and the closed other end never took, by the counts of both."""
    here = case.itself[1] if case.itself else None
    if not isinstance(here, Connection) or not isinstance(there, Connection):
        return 0
    sent, totals = here.totals.sent, there.totals
    taken = totals.read - totals.put_back
    case.saw(f"this side had sent {count(sent)}, and the other end had taken {taken:,}", "totals of both ends")
    return max(sent - taken, 0)


def _reset_by_whom(case: Case) -> Verdict:
    ends = case.scene.ends
    if ends is None or ends[1] is None:
        return Cause.RESET, "The peer aborted, or closed with bytes unread, or its program ended: look there"
    peer = ends[1]
    if _accepted.is_accepted(case, ends[0], peer):
        return _accepted.reset(case, ends[0], peer)
    for named in _process.objects(case.scene, case.budget):
        if isinstance(named[1], Listener) and named[1].closed and named[1].local_addr.port == peer.port:
            case.saw(f"the listener is {_process.called(named)}; {_process.closing(named[1])}", "Listener.closed_at")
            case.saw(
                "no socket of this program is the other end: it was not accepted, or is forgotten",
                "the objects of this program",
            )
            return (
                Cause.RESET_NOT_ACCEPTED,
                "Accept its clients before the listener is closed: close() resets those who wait to be accepted",
            )
    rows = _tables.listeners(case.budget, peer.port)
    if rows:
        case.saw_listener(rows[0])
        who = case.owners.describe(rows[0]) if case.owners.is_known(rows[0]) else "the program that listens there"
        return Cause.RESET, f"Look at {who}: it aborted, or closed with bytes unread"
    if not case.budget.unseen:
        case.saw(f"now nobody listens on port {peer.port}", _tables.TABLE)
    return Cause.RESET, "The peer's program has ended, or it aborted, or closed with bytes unread: look there"


def broken_pipe(case: Case) -> Verdict:
    """EPIPE: nothing more can be sent."""
    state = _state(case)
    here = case.itself[1] if case.itself else None
    if state in _FINISHED:
        case.saw(f"the connection is in {state}: this side has sent FIN", "TCP_INFO")
        return Cause.SENDING_FINISHED, 'Send everything before shutdown("send"); for more, connect anew'
    if found := _servers.told_of_client(case):
        return Cause.PEER_GONE, found.step
    if wire := _wires.told(case):
        return Cause.PEER_GONE, wire.step
    there = case.partner
    if there is not None and _process.is_closed(there[1]):
        case.saw(f"the other end is {_process.called(there)}, {_process.closing(there[1])}", "Connection.closed_at")
        if isinstance(here, Connection):
            _unread(case, there[1])
    elif there is not None:
        case.saw(f"the other end is {_process.called(there)}, and still open", "the objects of this program")
        return Cause.SENDING_FINISHED, 'This side has finished, by shutdown("send"): send everything before it'
    if state:
        case.saw(f"the connection is in {state}", "TCP_INFO")
    return (
        Cause.PEER_GONE,
        'Stop sending when recv() gives b"" or an error: the peer has finished. To go on, connect anew',
    )


def not_connected(case: Case) -> Verdict:
    """ENOTCONN: the call needs a connection."""
    if state := _state(case):
        case.saw(f"the socket is in {state}", "TCP_INFO")
    return Cause.NOT_CONNECTED, "Connect it first; a listener gives a connection for each client by accept()"


def waited(case: Case) -> Verdict:
    """A call that ran out of its time, or had none."""
    doing = case.scene.doing
    here = case.itself[1] if case.itself else case.scene.thing
    if doing == "accept" or isinstance(here, Listener):
        return _no_client(case)
    if doing in _WRITES:
        return _full(case)
    there = _told_of_peer(case)
    buffer = here.input_buffer if isinstance(here, Connection) and not here.closed else None
    if buffer is not None and len(buffer):
        data = buffer.peek(_FIRST_WORDS)
        case.saw(
            f"the input buffer has {count(len(buffer))}: {shown(data)}", "FIONREAD, MSG_PEEK and the bytes in Rust"
        )
        if doing in ("recv_line", "lines") and b"\n" not in data and len(buffer) <= _FIRST_WORDS:
            return (
                Cause.FRAME_NOT_WHOLE,
                'A line ends with a newline, and none has come: let the sender end its lines with b"\\n"',
            )
        if doing == "recv_frame" and data[:4].isalnum():
            return (
                Cause.WRONG_FRAMING,
                "Text stands where the length should: let the sender use send_frame(), or read with recv_line()",
            )
        if doing.startswith("recv_") or doing == "lines":
            return (
                Cause.FRAME_NOT_WHOLE,
                "The bytes that came are kept: call again when the rest is sent, or look at what the sender puts at the end",
            )
        return Cause.WOULD_WAIT, "Bytes have come meanwhile: call again"
    if there is not None:
        return there
    if case.scene.number == errno.EAGAIN:
        return Cause.WOULD_WAIT, "Nothing has come yet: call again later, or with a timeout above 0"
    return Cause.NOTHING_SENT, "Let the peer send, and flush what it prints; or wait longer with a larger timeout="


def _told_of_peer(case: Case) -> Verdict | None:
    """Adds what is known of the other end; a verdict if that explains the wait."""
    if state := _state(case):
        case.saw(f"the connection is in {state}", "TCP_INFO")
    ends = case.scene.ends
    if ends is None or ends[1] is None:
        return None
    there = case.partner
    if there is not None:
        _told_of_partner(case, there)
        return None
    if wire := _wires.told(case):
        return Cause.NOTHING_SENT, wire.step if wire.did_it else f"{wire.step}; or let the other side send"
    row = _tables.connection(case.budget, ends[1], ends[0])
    if row is not None and row.inode == 0 and row.state == TcpState.ESTABLISHED:
        case.saw(f"the other end {row.local} belongs to no process yet: it waits in the accept queue", _tables.TABLE)
        name = "the server"
        for listener in _tables.listeners(case.budget, row.local.port)[:1]:
            case.saw_listener(listener)
            if (named := case.owners.named(listener)) is not None and named[0]:
                name = f"`{escape(named[0])}`"
        return Cause.NOT_ACCEPTED, f"Let {name} call accept(): connected is not yet accepted, and nobody can answer"
    if row is not None:
        case.saw(f"the other end is alive, of {case.owners.describe(row)}, in state {row.state.name}", _tables.TABLE)
        if row.send_queue:
            case.saw(f"its output buffer has {count(row.send_queue)} not acknowledged", _tables.TABLE)
        if row.recv_queue:
            case.saw(f"it has not read {count(row.recv_queue)} of what was sent to it", _tables.TABLE)
    return None


def _told_of_partner(case: Case, there: Named) -> None:
    thing = there[1]
    called = _process.called(there)
    if isinstance(thing, Connection) and not thing.closed:
        case.saw(f"the other end is {called}, in state {_state_of(thing)}", "TCP_INFO")
        case.saw(
            f"it has sent {count(thing.totals.sent)} in all, and its output buffer has {count(len(thing.output_buffer))}",
            "totals, SIOCOUTQ",
        )
        unread = len(thing.input_buffer)
        if unread:
            case.saw(f"it has {count(unread)} unread itself: perhaps it waits for none, or for their end", "FIONREAD")
    elif _process.is_closed(thing):
        case.saw(f"the other end is {called}; {_process.closing(thing)}", "Connection.closed_at")
    else:
        case.saw(f"the other end is {called}, and open", "the objects of this program")


def _no_client(case: Case) -> Verdict:
    ends = case.scene.ends
    rows = [row for row in _tables.listeners(case.budget, ends[0].port) if row.local == ends[0]] if ends else []
    for row in rows:
        case.saw(f"on {row.local}, {queue(row)}", _tables.TABLE)
        if row.accept_queue:
            return Cause.NO_CLIENT, "A client has come meanwhile: accept again"
    where = f" to {_reached(ends[0])}" if ends else ""
    longer = "with a larger timeout=" if case.scene.ours else "by settimeout()"
    return Cause.NO_CLIENT, f"Let a client connect{where}, or wait longer {longer}"


def _reached(at: Address) -> str:
    """What a client may connect to: an address of all interfaces is none for that."""
    if at.host == "0.0.0.0":
        return f"port {at.port} of any address of this machine, such as 127.0.0.1"
    if at.host == "::":
        return f"port {at.port} of any address of this machine, such as ::1"
    return str(at)


def _full(case: Case) -> Verdict:
    here = case.itself[1] if case.itself else None
    if isinstance(here, Connection) and not here.closed:
        out, info = here.output_buffer, here.info()
        case.saw(
            f"this side's output buffer has {count(len(out))}, {out.unsent or 0:,} of them not sent yet",
            "SIOCOUTQ, SIOCOUTQNSD",
        )
        if info.snd_wnd is not None:
            case.saw(f"the peer's advertised window is {count(info.snd_wnd)}", "TCP_INFO")
    there = case.partner
    if there is not None and isinstance(there[1], Connection) and not there[1].closed:
        case.saw(f"the other end, {_process.called(there)}, has {count(len(there[1].input_buffer))} unread", "FIONREAD")
        return (
            Cause.PEER_DOES_NOT_READ,
            f"Let {_process.by_name(there)} read: its input buffer is full, and TCP lets nobody overrun it",
        )
    if wire := _wires.told(case):
        return Cause.PEER_DOES_NOT_READ, wire.step
    ends = case.scene.ends
    row = _tables.connection(case.budget, ends[1], ends[0]) if ends and ends[1] else None
    if row is not None:
        who = "nobody: it waits in the accept queue" if row.inode == 0 else case.owners.describe(row)
        case.saw(f"the other end, of {who}, has {count(row.recv_queue or 0)} unread", _tables.TABLE)
    return (
        Cause.PEER_DOES_NOT_READ,
        "Let the peer read what has come: its input buffer is full, and TCP lets nobody overrun it",
    )


def ended_inside(case: Case) -> Verdict:
    """IncompleteReadError, of socklens or asyncio."""
    error: Any = case.scene.error
    partial, expected = bytes(error.partial or b""), error.expected
    case.saw(
        f"{count(len(partial))} had come: {shown(partial)}" if partial else "nothing of it had come",
        "IncompleteReadError.partial",
    )
    if isinstance(expected, int):
        case.saw(f"{count(expected)} were awaited", "IncompleteReadError.expected")
    doing = case.scene.doing
    inside = Cause.ENDED_INSIDE_LINE if doing in ("recv_line", "lines") else Cause.ENDED_INSIDE
    cause = inside if partial else Cause.ENDED_BETWEEN
    if found := _servers.told_of_client(case):
        return cause, found.step
    if (wire := _wires.told(case)) is not None and wire.did_it:
        return cause, wire.step
    if (there := case.partner) is not None and _process.is_closed(there[1]):
        case.saw(f"the other end is {_process.called(there)}; {_process.closing(there[1])}", "Connection.closed_at")
    if not partial:
        return (
            cause,
            "The peer finished where a message would begin: that is a usual end; let the loop end there",
        )
    if doing in ("recv_line", "recv_until", "lines") or expected is None:
        end = next((arg for arg in case.scene.args if isinstance(arg, bytes)), b"\n" if "line" in doing else b"")
        if any(other in partial and other not in end for other in (b"\r", b"\0") if end):
            return (
                Cause.WRONG_FRAMING,
                "The peer ends its messages otherwise: look at the bytes for the separator it uses",
            )
        missing = (
            f"the separator {end!r}" if end and end != b"\n" else 'its newline, b"\\n"' if end else "its separator"
        )
        rest = ", or take the rest with recv_all()" if case.scene.ours else ""
        return cause, f"The last message lacks {missing}: let the peer send it before it closes{rest}"
    if doing == "recv_frame" and partial[:4].isalnum():
        return (
            Cause.WRONG_FRAMING,
            "Text stands where the length should: let the sender use send_frame(), or read with recv_line()",
        )
    return cause, "Let the peer send all of it before it closes; or ask for less, if it never sends more"


def too_long(case: Case) -> Verdict:
    """FrameTooLongError."""
    error: Any = case.scene.error
    case.saw(f"at most {count(error.limit)} were allowed", "FrameTooLongError.limit")
    here = case.itself[1] if case.itself else case.scene.thing
    data = b""
    if isinstance(here, Connection) and not here.closed:
        data = here.input_buffer.peek(_FIRST_WORDS)
        case.saw(f"the input buffer begins with {shown(data)}", "the bytes in Rust, MSG_PEEK")
    if case.scene.doing == "recv_frame" or "prefix announces" in case.scene.text:
        if data[:4].isascii() and data[:4].decode("ascii").isprintable() and data:
            case.saw(
                f"read as a length of 4 bytes, {shown(data[:4])} is {int.from_bytes(data[:4], 'big'):,}",
                "struct.unpack('>I', …)",
            )
            return (
                Cause.WRONG_FRAMING,
                "Text stands where the length should: let the sender use send_frame(), or read with recv_line()",
            )
        if 0 < int.from_bytes(data[:4], "little") <= error.limit:
            length = int.from_bytes(data[:4], "little")
            case.saw(f"read the other way round, the prefix is {length:,}", "struct.unpack('<I', …)")
            return (
                Cause.WRONG_FRAMING,
                'The two sides differ in byte order: use byteorder="little" here, or "big" there',
            )
    return (
        Cause.FRAME_TOO_LONG,
        "Allow more with max_bytes=, or look whether the sender ends its messages; the bytes are still there",
    )


def closed(case: Case) -> Verdict:
    """ClosedError, or EBADF."""
    if "no descriptor with this number is open" in case.scene.text:
        return Cause.NOT_TAKEN, "Give the socket itself, or the number that its fileno() gives while it is open"
    gone = "was detached by this program" in case.scene.text
    named = case.itself
    if named is not None:
        case.saw(f"it is {_process.called(named)}; {_process.closing(named[1], gone)}", "closed_at")
        if isinstance(named[1], Connection):
            totals = named[1].totals
            case.saw(f"until then it had sent {count(totals.sent)} and read {totals.read:,}", "totals")
    elif case.scene.thing is not None:
        case.saw("its descriptor is closed", "fileno()")
    if gone:
        return (
            Cause.CLOSED_HERE,
            "Use the socket where detach() or to_socket() has given it: this object has none any more",
        )
    return Cause.CLOSED_HERE, "Use it before close() and inside its with statement; for more, connect or listen anew"


def text_given(case: Case) -> Verdict:
    """A TypeError for str where bytes are needed."""
    text = next((arg for arg in case.scene.args if isinstance(arg, str)), None)
    if text is not None:
        # Its backslashes are those of repr, and stay as they are.
        quoted_text = escape(repr(text[:60]), keep="\\")
        case.saw(f"the argument is the text {quoted_text} of {count(len(text), 'character')}", "the call")
        case.saw(f"as UTF-8 it is {count(len(text.encode('utf-8', 'surrogatepass')))}", "str.encode")
    return Cause.TEXT_NOT_BYTES, "Write .encode() behind it; and .decode() behind what recv() returns"


def _state(case: Case) -> str:
    """The TCP state of this side, from its own object or else from the table."""
    here = case.itself[1] if case.itself else case.scene.thing
    try:
        if isinstance(here, Connection):
            return _state_of(here)
        if isinstance(here, socket.socket) and here.fileno() >= 0:
            number = here.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            return next(
                name for name, value in vars(TcpState).items() if isinstance(value, TcpState) and int(value) == number
            )
    except (OSError, StopIteration, AttributeError) as error:
        case.budget.missed("the state of this side", error)
    return ""


def _state_of(conn: Connection) -> str:
    """By TCP_INFO alone: `conn.state` may read the kernel's whole table, which takes longer than there is time."""
    state = None if conn.closed else conn.info().state
    return "CLOSED" if state is None else state.name
