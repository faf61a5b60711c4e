"""What was recorded, as frozen rows. Observed facts only: what they mean together is said in `_cast` and `_ledger`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .._address import Address

if TYPE_CHECKING:
    from .._socklens import TcpState

Direction = Literal["out", "in", "back"]


@dataclass(frozen=True)
class Event:
    """One call on one socket, from its begin to its end: a frozen row. What was not observed is None.

    Attributes:
        number: its place in the story; numbers go on counting where a full recording has dropped its oldest events.
        call: the method's name: `connect`, `accept`, `sendall`, `recv_line`, …; `server recv` and its kin are a server's that runs
            in Rust. `handler` is no call but a moment: the handler of the server that serves this connection has failed, with `error` and
            `message`.
        socket: the socket's number: the same for all its calls, and no other's in this process.
        local: the socket's own endpoint (for a connect that failed: unknown).
        peer: the other endpoint; of an accept, the client's; None for a listener's other calls.
        thread: the name of the thread that called.
        began: seconds from the begin of the recording to the begin of the call (a monotonic clock). None if the call was under way
            when the recording began; below 0 if another recording, around this one, saw it begin.
        ended: seconds from the begin of the recording to the end of the call.
        direction: "out" for bytes into the stream, "in" for bytes out of it, "back" for `unrecv`.
        offset: how many bytes of the stream in this direction came before these. What was put back counts as not read.
        count: how many bytes the call moved; None if it moved none.
        head: the first of these bytes, 32 at the most.
        end_of_stream: whether the call met the end of the stream: the peer's FIN, or this side's own `shutdown("recv")`.
        reset: whether this close has to send RST instead of FIN: an abort, or bytes left unread (derived; RFC 1122 section
            4.2.2.13).
        error: the class of the exception that it raised; "Interrupted" if that was a signal handler's own, KeyboardInterrupt most often.
        errno: the number that the kernel gave for the error.
        message: the exception's message; of a handler's, the first 200 characters.
        before: the state before the call, where it was looked at: shutdown, close, abort, wait_connected.
        after: the state after the call, where it was looked at: the opening calls, shutdown, an end of the stream, an error of the
            kernel's.
        made: the number of the connection that an accept gave.
        stdlib: whether it is a call on a `socket.socket` that the story includes.
    """

    number: int
    call: str
    socket: int
    local: Address | None
    peer: Address | None
    thread: str
    began: float | None
    ended: float
    direction: Direction | None
    offset: int | None
    count: int | None
    head: bytes
    end_of_stream: bool
    reset: bool
    error: str | None
    errno: int | None
    message: str | None
    before: TcpState | None
    after: TcpState | None
    made: int | None
    stdlib: bool

    @property
    def seconds(self) -> float | None:
        """How long the call took, waiting included; None if nobody saw it begin."""
        return None if self.began is None else self.ended - self.began

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values, as `Story.to_json` writes it: bytes as hexadecimal digits, states by name, endpoints as [host, port]."""
        return {
            "number": self.number,
            "call": self.call,
            "socket": self.socket,
            "local": None if self.local is None else list(self.local),
            "peer": None if self.peer is None else list(self.peer),
            "thread": self.thread,
            "began": self.began,
            "ended": self.ended,
            "direction": self.direction,
            "offset": self.offset,
            "count": self.count,
            "head": self.head.hex(),
            "end_of_stream": self.end_of_stream,
            "reset": self.reset,
            "error": self.error,
            "errno": self.errno,
            "message": self.message,
            "before": None if self.before is None else self.before.name,
            "after": None if self.after is None else self.after.name,
            "made": self.made,
            "stdlib": self.stdlib,
        }


def event(number: int, row: tuple[Any, ...], start: int) -> Event:
    """The event of a row as the recorder gives it; `start` is its clock at the begin of the story."""
    (socket, call, began, ended, thread, stdlib), (local, peer, made), moved, head, known, failure = row
    direction, offset, count = moved or (None, None, None)
    end_of_stream, reset, before, after = known
    kind, code, text = failure or (None, None, None)
    if kind == "OSError" and code is not None:
        kind = type(OSError(code, "")).__name__  # Python chooses the class by the number
    return Event(
        number=number,
        call=call,
        socket=socket,
        local=local,
        peer=peer,
        thread=thread,
        began=None if began is None else (began - start) / 1e9,
        ended=(ended - start) / 1e9,
        direction=direction,
        offset=offset,
        count=count,
        head=head,
        end_of_stream=end_of_stream,
        reset=reset,
        error=kind,
        errno=code,
        message=text,
        before=before,
        after=after,
        made=made,
        stdlib=stdlib,
    )
