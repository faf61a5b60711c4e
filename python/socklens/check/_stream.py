"""The battery for servers that answer a request with a reply on the same connection: the same steps for bytes and for lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ._diagnose import because, never_closes, no_answer, second_client
from ._failure import Missed, What
from ._result import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._check import Check, Stage
    from ._peer import Peer


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
    def reply(self, request: bytes) -> bytes:
        """What has to come back for one or several whole requests."""

    @abstractmethod
    def text(self) -> str:
        """A request with characters of two, three and four bytes."""

    @abstractmethod
    def big(self) -> bytes:
        """A megabyte of requests."""


class Battery:
    """All the steps, for one check."""

    def __init__(self, check: Check, talk: Talk, concurrent: bool) -> None:
        self.check = check
        self.talk = talk
        self.concurrent = concurrent
        self._kept: Peer | None = None

    def steps(self) -> list[tuple[str, Callable[[Stage], None]]]:
        """Names and what is done."""
        unit = self.talk.unit
        return [
            (f"answers a {unit}", self.first),
            (f"answers a second {unit} of the same client", self.second),
            ("serves a second client when the first has left", self.another),
            ("answers what came before the client finished, and then closes", self.half_close),
        ]

    def run(self) -> None:
        """Takes the steps, one after the other, until one fails."""
        steps = self.steps()
        self.check.plan(name for name, _ in steps)
        for name, take in steps:
            with self.check.step(name) as step:
                take(step)
            if self._kept is None:
                self.check.leave()

    # -- parts of steps

    def client(self, name: str = "the client") -> Peer:
        """A new client, greeted."""
        peer = self.check.connect(name)
        if self.talk.greeting:
            peer.expect(self.talk.greeting)
        return peer

    def ask(self, peer: Peer, number: int, seconds: float | None = None) -> None:
        """One request, and the wait for its reply."""
        request = self.talk.request(number)
        peer.send(request)
        peer.expect(self.talk.reply(request), seconds)

    # -- steps

    def first(self, step: Stage) -> None:
        """The simplest that there is."""
        try:
            self._kept = self.client()
            self.ask(self._kept, 0)
        except Missed as missed:
            raise no_answer(self.check, missed) from None

    def second(self, step: Stage) -> None:
        """A loop around recv."""
        peer, self._kept = self._kept or self.client(), None
        before = f"the first {self.talk.unit} was answered"
        try:
            self.ask(peer, 1)
        except Missed as missed:
            end = peer.far_end()
            if missed.what is What.NOTHING and end is not None and end.accepted and end.unread:
                raise because(
                    missed,
                    f"{before}, and the second one lies unread in its input buffer",
                    Mistake.ANSWERS_ONCE,
                ) from None
            if missed.what in (What.END, What.RESET):
                failure = no_answer(self.check, missed, before)
                if failure.mistake is not Mistake.RAISES:
                    failure = because(missed, f"{before}, and then it closed the connection", Mistake.ANSWERS_ONCE)
                raise failure from None
            raise no_answer(self.check, missed, before) from None

    def another(self, step: Stage) -> None:
        """A loop around accept."""
        second = None
        try:
            second = self.check.connect("the second client")
            if self.talk.greeting:
                second.expect(self.talk.greeting)
            self.ask(second, 1)
        except Missed as missed:
            raise second_client(
                self.check, missed, second, Mistake.ACCEPTS_ONCE, "the first client was served"
            ) from None

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
