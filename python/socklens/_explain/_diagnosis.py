"""What an explanation is: a cause, the facts that speak for it, and a next step. Values only; nothing here looks at anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from ..display import diagnosis


@unique
class Cause(Enum):
    """Why a call on a socket failed, as far as the evidence reaches. The value is the cause in words."""

    NOTHING_LISTENS = "nothing listens there"
    NOT_LISTENING = "a program has the address, and does not listen on it"
    BACKLOG_FULL = "the listener's accept queue is full"
    NO_ANSWER = "nothing answers"
    NO_CLIENT = "no client has connected"
    ADDRESS_IN_USE = "somebody has this address and port"
    TIME_WAIT = "an old connection of this port rests in TIME_WAIT"
    ADDRESS_NOT_AVAILABLE = "that address cannot be had on this machine"
    PRIVILEGED_PORT = "the port is for privileged programs"
    FORBIDDEN = "this machine forbids it"
    NO_ROUTE = "there is no way to that address"
    RESET_UNREAD = "the peer closed with bytes unread"
    RESET_NOT_ACCEPTED = "the listener closed before it accepted"
    RESET = "the peer reset the connection"
    PEER_GONE = "the peer is gone, and nothing more can be sent"
    SENDING_FINISHED = "this side has finished sending"
    NOT_CONNECTED = "there is no connection"
    NAME_NOT_FOUND = "the name has no address"
    NOT_A_NAME = "that is more than a host's name"
    NOT_ACCEPTED = "nobody has accepted this connection yet"
    NOTHING_SENT = "the peer has sent nothing (more)"
    FRAME_NOT_WHOLE = "a part has come, and its end has not"
    PEER_DOES_NOT_READ = "the peer does not read"
    WOULD_WAIT = "the call would have to wait, and may not"
    ENDED_INSIDE = "the peer finished inside a frame"
    ENDED_INSIDE_LINE = "the peer finished inside a line"
    ENDED_BETWEEN = "the peer finished, and nothing of a next message had come"
    FRAME_TOO_LONG = "a frame is longer than allowed"
    WRONG_FRAMING = "the two sides do not agree where a message ends"
    CLOSED_HERE = "this program has closed it"
    TEXT_NOT_BYTES = "text was given where bytes are needed"
    NOT_TAKEN = "the call does not take what it was given"
    NOT_NOW = "the object cannot do that as it is now"
    NOT_HERE = "this system does not offer that"
    HANDLER_FAILED = "an error of Python's in the server's handler"
    NOT_KNOWN = "not an error that socklens can look into"


@dataclass(frozen=True)
class Fact:
    """One thing that was seen, and where.

    Attributes:
        text: what was seen; printable, whatever a peer sent.
        source: where it was seen: a table of the kernel, an option, a call.
    """

    text: str
    source: str

    def __str__(self) -> str:
        return f"{self.text} [{self.source}]"


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Why an error happened: made by ``sl.explain(error)``, and frozen: it says how things were when it was made.

    It prints as text, and a notebook shows it as a box.

    Attributes:
        error: the error that was looked into: its class and message.
        cause: why it happened, a `Cause`.
        evidence: what was observed, a tuple of `Fact`, each with the place where it was.
        next_step: what to do about it.
        unseen: what could not be looked at, and why.
    """

    error: str
    cause: Cause
    evidence: tuple[Fact, ...]
    next_step: str
    unseen: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return diagnosis.as_text(self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return diagnosis.as_html(self)
