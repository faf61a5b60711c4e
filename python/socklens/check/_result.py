"""What a check found: frozen values. Nothing here opens, runs or draws anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..story import Event


@unique
class Mistake(Enum):
    """What is wrong with a program, as far as the evidence reaches. The value is the mistake in words, ``advice`` what to do."""

    NEVER_LISTENS = "it never listens on its port"
    WRONG_ADDRESS = "it listens on another address or port than it was told"
    NEVER_ACCEPTS = "it never accepts its client"
    ACCEPTS_ONCE = "it accepts only one client"
    NEVER_READS = "it accepts its client and never reads what it says"
    ANSWERS_ONCE = "it reads only once from each client"
    ONE_AT_A_TIME = "one client keeps all others waiting"
    RECV_IS_A_MESSAGE = "one recv() is taken for one whole message"
    WAITS_FOR_A_LINE = "it waits for the end of a line"
    WAITS_FOR_THE_END = "it answers only when the client has finished"
    NEWLINE_MISSING = "its line has no newline at the end"
    EMPTY_LINE = "an empty line is taken for the end"
    SEND_IGNORED = "send() has not sent everything, and what it returned is ignored"
    SPLITS_CHARACTERS = "a character is decoded before all its bytes have come"
    TEXT_ONLY = "bytes that are not plain text do not get through"
    SENDS_REPR = "bytes are turned into text with str(), and sent like that"
    STRIPS = "white space is taken away, as strip() does, although it belongs to what was sent"
    CLOSES_EARLY = "it closes the connection before it has answered"
    NEVER_CLOSES = "it never closes the connection of a client that has finished"
    END_NOT_SEEN = "it goes on reading after recv() has returned b''"
    ENDS_WITH_A_CLIENT = "the end of one client ends the service for all"
    MIXES_CLIENTS = "a client gets what belongs to another"
    NOT_TO_OTHERS = "what one client says does not reach the others"
    GONE_CLIENT = "it fails when one of its clients is gone"
    LEAKS_SOCKETS = "sockets of clients that have left stay open"
    LEAKS_THREADS = "threads of clients that have left go on"
    KEEPS_THE_PORT = "something goes on listening when the program has been stopped"
    HTTP_LINE_ENDS = "lines of its head do not end with \\r\\n"
    HTTP_LENGTH = "Content-Length is not the length of the body"
    HTTP_STATUS = "the status is not the right one"
    NEVER_CONNECTS = "it never connects"
    HANGS = "it waits for something that will never come"
    RAISES = "it raises an exception"
    EXITS = "the program ends"

    @property
    def advice(self) -> str:
        """What to do about it, in a sentence or two."""
        return _ADVICE[self]


_ADVICE = {
    Mistake.NEVER_LISTENS: "bind() the address that the program was given, then listen(), before anything that waits.",
    Mistake.WRONG_ADDRESS: "Use the host and the port that the program was given in bind(), and no others.",
    Mistake.NEVER_ACCEPTS: "Call accept() after listen(): it gives the socket that talks to this client.",
    Mistake.ACCEPTS_ONCE: "Call accept() in a loop: each call gives one client, and the listener goes on.",
    Mistake.NEVER_READS: "Call recv() on the socket that accept() returned, not on the listener.",
    Mistake.ANSWERS_ONCE: "Call recv() in a loop, until it returns b''.",
    Mistake.ONE_AT_A_TIME: "Serve each client in a thread or a task of its own, so that waiting for one holds up nobody else.",
    Mistake.RECV_IS_A_MESSAGE: "TCP carries a stream: recv() until a message has its end, and keep what comes after it.",
    Mistake.WAITS_FOR_A_LINE: "Send back what recv() returned, whatever it is. For a server of lines there is sl.check.line_server.",
    Mistake.WAITS_FOR_THE_END: "Answer as soon as there is something to answer: the client waits for that, and has not finished.",
    Mistake.NEWLINE_MISSING: "Send the newline too: only the sender can put it there, and the receiver waits for it.",
    Mistake.EMPTY_LINE: "Only b'' from recv() is the end of the stream; an empty line is b'\\n'. Test before you strip.",
    Mistake.SEND_IGNORED: "Use sendall(), or send() again what it has not taken: data = data[conn.send(data):].",
    Mistake.SPLITS_CHARACTERS: "Decode whole messages, not what one recv() returned; what is only passed on need not be decoded.",
    Mistake.TEXT_ONLY: "Do not decode what is only passed on; where text is meant, say which encoding, usually UTF-8.",
    Mistake.SENDS_REPR: "Turn text into bytes with .encode(), and bytes into text with .decode(); str(data) is how Python shows it.",
    Mistake.STRIPS: "Send back what came. Where only a line's end is to go, .removesuffix(b'\\n') takes that and nothing else.",
    Mistake.CLOSES_EARLY: "Close the connection when recv() has returned b'', not before.",
    Mistake.NEVER_CLOSES: "When recv() returns b'' the client has finished: leave the loop and close() this client's socket.",
    Mistake.END_NOT_SEEN: "b'' from recv() is the end of the stream, and is returned for ever: leave the loop there.",
    Mistake.ENDS_WITH_A_CLIENT: "Catch OSError where one client is served, so that only this client's connection ends.",
    Mistake.MIXES_CLIENTS: "Keep what belongs to a client in variables of its own, not in global ones.",
    Mistake.NOT_TO_OTHERS: "Keep the connections of all clients in one list, and send each line to all of them.",
    Mistake.GONE_CLIENT: "Take a client out of the list when it leaves, and catch OSError when you send to each.",
    Mistake.LEAKS_SOCKETS: "close() the client's socket in a finally, or use it in a with statement.",
    Mistake.LEAKS_THREADS: "Leave the thread's function when recv() returns b''.",
    Mistake.KEEPS_THE_PORT: "End what the program has started when it ends.",
    Mistake.HTTP_LINE_ENDS: "End each line of the head with \\r\\n, and the head with an empty line: \\r\\n\\r\\n (RFC 9112 section 2.1).",
    Mistake.HTTP_LENGTH: "Count the bytes, not the characters: Content-Length is len(body) after .encode() (RFC 9110 section 8.6).",
    Mistake.HTTP_STATUS: "200 for what is there, 404 for what is not (RFC 9110 section 15).",
    Mistake.NEVER_CONNECTS: "connect() to the host and the port that the program was given.",
    Mistake.HANGS: "When recv() returns b'', nothing more will come: close the socket and end.",
    Mistake.RAISES: "Read the exception: it names the line.",
    Mistake.EXITS: "A server goes on until it is stopped: it accepts in a loop.",
}


@unique
class Outcome(Enum):
    """How a step ended."""

    PASSED = "passed"
    FAILED = "failed"
    LEFT_OUT = "left out"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Step:
    """One step of a check: a frozen row.

    Attributes:
        name: what the step is about, as a promise of the program: "answers a message".
        outcome: an `Outcome`: passed, failed, left out (this could not be looked at here, and `detail` says why), or not run, because
            an earlier step had failed.
        expected: what should have come, if the step failed over that: bytes most often, or a description in words. Else None.
        actual: what came instead.
        seconds: how long it took.
        detail: what was seen, in a sentence; empty for a step that passed.
    """

    name: str
    outcome: Outcome
    expected: object = None
    actual: object = None
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, repr=False)
class Result:
    """What a check found: true if all steps passed. It prints as text, and a notebook shows it as a box.

        assert sl.check.echo_server(my_server)      # a failure shows the reason
        result = sl.check.echo_server(my_server)
        result.passed, result.mistake, result.reason, result.steps

    Attributes:
        name: what was checked: "echo server".
        target: the program that was checked, in words.
        reason: why it failed, in a student's words; "" if it passed.
        mistake: the `Mistake`, if the evidence decides for one; None if it passed, or if it does not.
        steps: a tuple of `Step`, in their order.
        output: what the program printed, its exceptions' tracebacks included; shortened in the middle.
        seconds: how long the whole check took.
        events: the calls of the check's own connections in the step that failed, as `sl.record()` kept them.
    """

    name: str
    target: str
    reason: str
    mistake: Mistake | None
    steps: tuple[Step, ...]
    output: str = ""
    seconds: float = 0.0
    events: tuple[Event, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every step passed, or was left out; at least one has to have passed."""
        outcomes = {step.outcome for step in self.steps}
        return Outcome.PASSED in outcomes and outcomes <= {Outcome.PASSED, Outcome.LEFT_OUT} and not self.reason

    @property
    def failed_step(self) -> Step | None:
        """The step that failed; None if none did."""
        return next((step for step in self.steps if step.outcome is Outcome.FAILED), None)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        from ..display.check import as_text

        return as_text(self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from ..display.check import as_html

        return as_html(self)
