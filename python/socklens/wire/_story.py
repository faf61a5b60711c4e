"""What a wire tells: its events and its connections, as frozen copies. Nothing here touches a socket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from .._address import Address
from ..server._records import Log

Towards = Literal["to_server", "to_client"]


@dataclass(frozen=True)
class WireEvent:
    """One thing that a wire did or saw. It prints as a line.

    Attributes:
        seconds: since the wire was opened.
        when: the moment, in local time.
        connection: the number of the connection, counted from 1; 0 is the whole wire.
        direction: ``"to_server"`` or ``"to_client"``; None where it is neither.
        what: one word: ``"accepted"``, ``"connected"``, ``"unreachable"``, ``"dropped"``, ``"silent"``, ``"piece"``, ``"glued"``,
            ``"passed"``, ``"unread"``, ``"flipped"``, ``"full"``, ``"finished"``, ``"discarded"``, ``"reset"``, ``"closed"``, ``"over"``,
            ``"set"``, ``"refuses"``, ``"listens"``, ``"trouble"``.
        start, end: the bytes that it is about, as positions in the direction's stream, the end not included; None where it is about none.
        text: a sentence.
    """

    seconds: float
    when: datetime
    connection: int
    direction: Towards | None
    what: str
    start: int | None
    end: int | None
    text: str

    def __str__(self) -> str:
        whose = "" if not self.connection else f"#{self.connection} "
        way = "" if self.direction is None else f"{self.direction}: "
        return f"{self.seconds:10.6f} s  {whose}{way}{self.text}"


class WireStory(Log[WireEvent]):
    """What a wire did, oldest first: a list of `WireEvent`, the newest 10,000; ``lost`` is how many older ones are not kept.

    It prints a line for each. Bytes that pass as they came are no event; what leaves by the clock alone (delay, jitter, rate) is told as
    one event as long as nothing else comes between.
    """

    def _repr_html_(self) -> str:
        from ..display.wire import story_html

        return story_html(self)


class BothWays(NamedTuple):
    """A number of bytes for each direction."""

    to_server: int
    to_client: int


@dataclass(frozen=True)
class WireConnection:
    """One relayed connection at one moment: two TCP connections, the client's with the relay and the relay's with the target.

    Attributes:
        number: the how manieth it is, counted from 1.
        client_addr: where the client comes from.
        onward_addr: the relay's own address in its connection with the target, the client that the target sees; None before there is one.
        since: when it was accepted, in local time.
        passed: bytes that the relay has given to the receiver's kernel, as ``(to_server, to_client)``.
        waiting: bytes that wait in the relay's memory, as ``(to_server, to_client)``.
    """

    number: int
    client_addr: Address
    onward_addr: Address | None
    since: datetime
    passed: BothWays
    waiting: BothWays

    def __str__(self) -> str:
        onward = "" if self.onward_addr is None else f" and on from {self.onward_addr}"
        passed, waiting = self.passed, self.waiting
        return (
            f"#{self.number} {self.client_addr}{onward}: {passed.to_server:,} B to the server, {passed.to_client:,} B to the client, "
            f"waiting {waiting.to_server:,} B and {waiting.to_client:,} B"
        )
