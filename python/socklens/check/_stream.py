"""The battery for servers that answer a request with a reply on the same connection: the same steps for bytes and for lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ._battery import Battery, Steps
from ._diagnose import because, never_closes, no_answer, second_client
from ._failure import Failed, Missed, What
from ._flood import flood
from ._result import Mistake

if TYPE_CHECKING:
    from ._check import Check, Stage
    from ._peer import Peer


_SINGLE = 8  # bytes that are sent one by one
_AFTER = 0.05  # seconds in which nothing may follow the first answer
_FIRST = 3.0  # seconds for the first answer; the rest of the step is for finding out why none came


class Talk(ABC):
    """What is said: requests, and the reply to each."""

    unit: str
    """What a request is called: "message", "line"."""
    lines: bool
    """Whether a request has an end of its own, so that the reply has to wait for it."""
    greeting = b""
    """What the server says first."""

    @abstractmethod
    def request(self, number: int) -> bytes:
        """One of many different requests."""

    @abstractmethod
    def reply(self, requests: bytes) -> bytes:
        """What has to come back for one or several whole requests."""

    def text(self) -> bytes:
        """A request with characters of two, three and four bytes; b"" if the server need not know any."""
        return b""

    @abstractmethod
    def big(self) -> bytes:
        """A megabyte of requests."""


class Stream(Battery):
    """Bytes or lines, and their replies."""

    def __init__(self, check: Check, talk: Talk, concurrent: bool) -> None:
        super().__init__(check, concurrent)
        self.talk = talk
        self.unit = talk.unit

    def steps(self) -> Steps:
        """From the simplest to the crowd."""
        unit = self.unit
        steps: Steps = [
            (f"answers a {unit}", self.first),
            (f"answers a second {unit} of the same client", self.second),
            ("serves a second client when the first has left", self.another),
            (f"answers a {unit} that comes in pieces", self.pieces),
            (f"answers {unit}s that come together", self.glued),
        ]
        if self.talk.text():
            steps.append(("keeps characters whole that come in two pieces", self.characters))
        steps += [
            *self.special_steps(),
            ("answers what came before the client finished, and then closes", self.half_close),
            ("answers 1 MB", self.big),
            ("answers 1 MB to a client that begins to read late", self.late),
            *self.crowd_steps(),
        ]
        return steps

    def special_steps(self) -> Steps:
        """What only this kind of server has."""
        return []

    def request(self, number: int) -> bytes:
        """As the talk has it."""
        return self.talk.request(number)

    def receive(self, peer: Peer, number: int, seconds: float | None = None) -> None:
        """As the talk has it."""
        peer.expect(self.talk.reply(self.talk.request(number)), seconds)

    def greet(self, peer: Peer, seconds: float | None = None) -> None:
        """As the talk has it."""
        if self.talk.greeting:
            peer.expect(self.talk.greeting, seconds)

    # -- steps

    def first(self, step: Stage) -> None:
        """The simplest that there is."""
        try:
            self.kept = self.client()
            self.ask(self.kept, 0, _FIRST)
            wanted = self.talk.reply(self.talk.request(0))
            if more := self.kept.more(_AFTER):
                reason = f"the answer came, and then {more[:40]!r}, which is no part of it"
                step.fail(reason, expected=wanted, actual=wanted + more)
        except Missed as missed:
            raise self._first_answer(missed) from None

    def _first_answer(self, missed: Missed) -> Failed:
        failure = no_answer(self.check, missed)
        got, wanted, peer = missed.actual, missed.expected, missed.peer
        if peer is None or missed.what is not What.NOTHING or failure.mistake is not None:
            return failure
        if isinstance(got, bytes) and isinstance(wanted, bytes) and got + b"\n" == wanted:
            return because(
                missed, "the answer came, and the newline that ends its line did not", Mistake.NEWLINE_MISSING
            )
        if got:
            return failure
        if not self.talk.lines:
            peer.send(b"\n")
            if peer.more(1.0):
                return because(missed, "it did not answer a message before a newline came", Mistake.WAITS_FOR_A_LINE)
        peer.finish()
        if peer.more(1.0):
            return because(
                missed, "it did not answer before the client had finished sending", Mistake.WAITS_FOR_THE_END
            )
        return failure

    def second(self, step: Stage) -> None:
        """A loop around recv."""
        peer, self.kept = self.kept or self.client(), None
        before = f"the first {self.unit} was answered"
        try:
            self.ask(peer, 1)
        except Missed as missed:
            raise self._second_answer(missed, peer, before) from None

    def _second_answer(self, missed: Missed, peer: Peer, before: str) -> Failed:
        end = peer.far_end()
        if missed.what is What.NOTHING and end is not None and end.accepted and end.unread:
            said = f"{before}, and the second one lies unread in the program's input buffer"
            return because(missed, said, Mistake.ANSWERS_ONCE)
        failure = no_answer(self.check, missed, before)
        if missed.what in (What.END, What.RESET) and failure.mistake is not Mistake.RAISES:
            return because(missed, f"{before}, and then it closed the connection", Mistake.ANSWERS_ONCE)
        return failure

    def another(self, step: Stage) -> None:
        """A loop around accept."""
        second = None
        try:
            second = self.check.connect("the second client")
            self.greet(second)
            self.ask(second, 2)
        except Missed as missed:
            before = "the first client was served"
            raise second_client(self.check, missed, second, Mistake.ACCEPTS_ONCE, before) from None

    def pieces(self, step: Stage) -> None:
        """In two pieces, and then byte by byte; each has been read when the next one is sent."""
        peer = self.client()
        request = self.talk.request(3)
        middle = len(request) // 2
        first, rest = request[:middle], request[middle:]
        peer.deliver(first)
        if self.talk.lines and (reaction := peer.reaction(0.2)):
            raise _to_a_piece(peer, first, reaction)
        said = f"a whole {self.unit} was answered, but not this one that came in two pieces, {first!r} and {rest!r}"
        try:
            peer.send(rest)
            peer.expect(self.talk.reply(request))
            said = f"a whole {self.unit} was answered, but not this one that came byte by byte"
            request = self.talk.request(4)
            peer.deliver(request[:-_SINGLE])
            for byte in request[-_SINGLE:]:
                peer.deliver(bytes([byte]))
            peer.expect(self.talk.reply(request))
        except Missed as missed:
            raise self._in_pieces(missed, said) from None

    def _in_pieces(self, missed: Missed, before: str) -> Failed:
        """The same request was answered when it came whole: the pieces are the only difference."""
        if not self.talk.lines:
            return no_answer(self.check, missed, before)
        return because(missed, before, Mistake.RECV_IS_A_MESSAGE)

    def glued(self, step: Stage) -> None:
        """Two requests in one segment; then one and a half, and the other half."""
        peer = self.client()
        both = self.talk.request(5) + self.talk.request(6)
        half = len(self.talk.request(7)) // 2
        more = self.talk.request(6) + self.talk.request(7)
        said = f"each {self.unit} alone was answered, but not these two that came together: {both!r}"
        try:
            peer.send(both)
            peer.expect(self.talk.reply(both))
            said = f"{self.unit}s alone were answered, but not when one came together with a half of the next: {more[:-half]!r}"
            peer.deliver(more[:-half])
            peer.send(more[-half:])
            peer.expect(self.talk.reply(more))
        except Missed as missed:
            raise self._in_pieces(missed, said) from None

    def characters(self, step: Stage) -> None:
        """The text whole, and then with a border inside each character of several bytes."""
        peer = self.client()
        text = self.talk.text()
        try:
            peer.send(text)
            peer.expect(self.talk.reply(text))
        except Missed as missed:
            failure = no_answer(
                self.check, missed, f"ASCII was answered, and this text in UTF-8 was not: {text.decode()!r}"
            )
            raise because(missed, failure.reason, Mistake.TEXT_ONLY) from None
        borders = [at for at in range(1, len(text)) if text[at] & 0xC0 == 0x80 and text[at - 1] & 0xC0 == 0xC0]
        try:
            for start, end in zip([0, *borders], [*borders, len(text)], strict=True):
                peer.deliver(text[start:end])
            peer.expect(self.talk.reply(text))
        except Missed as missed:
            said = f"the text {text.decode()!r} was answered when it came whole, and not when it was cut inside a character"
            ended = no_answer(self.check, missed).reason if missed.what in (What.END, What.RESET) else ""
            raise because(missed, said + (f": {ended}" if ended else ""), Mistake.SPLITS_CHARACTERS) from None

    def half_close(self, step: Stage) -> None:
        """The client finishes right after its request."""
        peer = self.client()
        request = self.talk.request(2)
        peer.send(request)
        peer.finish()
        try:
            peer.expect(self.talk.reply(request))
        except Missed as missed:
            raise no_answer(self.check, missed, "the client sent its request and finished sending") from None
        try:
            peer.expect_end(3.0)
        except Missed as missed:
            if missed.what is What.NOTHING:
                raise never_closes(self.check, missed, peer, "everything was answered") from None
            raise because(missed, f"everything was answered, but then {missed.reason}") from None

    def big(self, step: Stage) -> None:
        """Read as it comes."""
        data = self.talk.big()
        flood(self.check, self.client(), data, self.talk.reply(data), late=False)

    def late(self, step: Stage) -> None:
        """Read when nothing moves any more: both directions are full then."""
        data = self.talk.big()
        peer = self.check.connect(narrow=True)
        self.greet(peer)
        flood(self.check, peer, data, self.talk.reply(data), late=True)


def _to_a_piece(peer: Peer, piece: bytes, reaction: bytes | What) -> Failed:
    what = "it answered the first piece alone" if isinstance(reaction, bytes) else "it closed the connection then"
    failure = Failed(
        f"a whole line was answered. Of the next one the first piece came, {piece!r}, and {what}",
        Mistake.RECV_IS_A_MESSAGE,
        expected="nothing before the line has its end",
        actual=reaction if isinstance(reaction, bytes) else reaction.value,
    )
    failure.peer = peer
    return failure
