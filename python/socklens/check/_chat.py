"""The check of a chat server: what one client says reaches all others, a whole line at a time, whoever comes and goes meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .._door import door
from ._battery import Battery, Steps
from ._check import TIMEOUT, Check
from ._diagnose import because, fate, no_answer
from ._failure import Failed, Missed, What
from ._kernel import until
from ._result import Mistake, Result
from ._target import Kind, Target

if TYPE_CHECKING:
    from ._check import Stage
    from ._peer import Peer

_AGAIN = 0.5  # seconds after which a line is said again, at the latest, to somebody who has just come in
_HEARD = 3.0


class _ChatServer(Battery):
    unit = "line"

    def __init__(self, check: Check, name_first: bool, to_sender: bool | None) -> None:
        super().__init__(check)
        self._name_first = name_first
        self._to_sender = to_sender
        self._heard: dict[Peer, list[bytes]] = {}
        self._said = 0
        self._witness: Peer | None = None
        self._room: list[Peer] = []

    def steps(self) -> Steps:
        alone: Steps = (
            []
            if self._to_sender is None
            else [("gives the speaker its own line, or does not, as agreed", self.own_line)]
        )
        return [
            ("brings what one client says to the other", self.first),
            ("brings it to a third one, too", self.third),
            ("goes on when a client leaves", self.leaves),
            *alone,
            ("passes on a line that comes in pieces as one line", self.pieces),
            ("passes on two lines that come together as two", self.glued),
            ("keeps characters whole that come in two pieces", self.characters),
            ("goes on when a client has said half a line and is silent", self.half_a_line),
            *self.crowd_steps(),
        ]

    # -- saying and hearing

    def greet(self, peer: Peer, seconds: float | None = None) -> None:
        """Its name, if that is how one comes in; then it is heard of when it says something."""
        if self._name_first:
            peer.send(b"%s\n" % peer.name.split()[-1].encode())

    def client(self, name: str = "the client") -> Peer:
        peer = self.check.connect(name)
        self.greet(peer)
        return peer

    def token(self) -> bytes:
        """Words that nobody has said before."""
        self._said += 1
        return b"words-%d-of-many" % self._said

    def request(self, number: int) -> bytes:
        return b"line %05d to all\n" % number

    def receive(self, peer: Peer, number: int, seconds: float | None = None) -> None:
        self.hear(self._witness or peer, self.request(number).strip(), seconds)

    def hear(self, peer: Peer, words: bytes, seconds: float | None = None) -> bytes:
        """The line with these words, which may stand among others and behind a name."""
        heard = self._heard.setdefault(peer, [])
        deadline = time.monotonic() + (_HEARD if seconds is None else seconds)
        while not (found := [line for line in heard if words in line]):
            heard.append(peer.line(max(0.0, deadline - time.monotonic()), wanted=words + b"\n"))
        heard.remove(found[0])
        return found[0]

    def meet(self, speaker: Peer, hearer: Peer) -> None:
        """Until one hears the other: who has connected is not in the room yet, and may miss a line."""
        words = self.token()
        pause = 0.02
        while True:
            speaker.send(words + b"\n")
            pause = min(2 * pause, _AGAIN)
            try:
                self.hear(hearer, words, min(pause, hearer.seconds_left))
            except Missed as missed:
                if missed.what is not What.NOTHING or hearer.seconds_left < _AGAIN:
                    raise
            else:
                break
        # Those said again may still be on their way.
        while hearer.seconds_left and hearer.more(0.01):
            continue

    def room(self, *names: str) -> list[Peer]:
        """Clients who hear each other."""
        peers = [self.client(name) for name in names]
        for peer in peers[1:]:
            self.meet(peers[0], peer)
            self.meet(peer, peers[0])
        return peers

    def tell(self, speaker: Peer, hearer: Peer) -> None:
        """A line from one to the other."""
        words = self.token()
        speaker.send(words + b"\n")
        self.hear(hearer, words)

    # -- steps

    def first(self, step: Stage) -> None:
        """Two clients."""
        ann, bob = self.client("the client ann"), self.client("the client bob")
        try:
            self.meet(ann, bob)
            self.meet(bob, ann)
            self.kept, self._room = ann, [ann, bob]
        except Missed as missed:
            raise self._not_heard(missed, ann, bob) from None

    def _not_heard(self, missed: Missed, ann: Peer, bob: Peer) -> Failed:
        ended = fate(self.check, 0.1)
        if ended is not None:
            return because(missed, f"it {ended.words}", ended.mistake)
        if missed.what is not What.NOTHING:
            return no_answer(self.check, missed)
        one, other = ann.far_end(), bob.far_end()
        if one is not None and not one.accepted:
            return no_answer(self.check, missed)
        if other is not None and not other.accepted:
            ann.close()
            if until(lambda: (end := bob.far_end()) is not None and end.accepted, time.monotonic() + 1.0):
                said = "a second client is accepted only when the first one has left"
                return because(missed, said, Mistake.ONE_AT_A_TIME)
            return because(missed, "a first client was accepted, and a second one is not", Mistake.ACCEPTS_ONCE)
        back = ann if missed.peer is bob else bob
        if back.more(0.1):
            return because(
                missed, "what a client says comes back to it, and does not reach the other one", Mistake.NOT_TO_OTHERS
            )
        return because(missed, "what one client says does not reach the other one", Mistake.NOT_TO_OTHERS)

    def third(self, step: Stage) -> None:
        """Three, each heard by the other two."""
        peers = [*self._room, self.client("the client eve")]
        self._room = peers
        try:
            for speaker in peers:
                for hearer in peers:
                    if hearer is not speaker:
                        self.meet(speaker, hearer)
        except Missed as missed:
            if missed.what is What.NOTHING:
                said = "of three clients, one does not hear what another one says; two alone did"
                raise because(missed, said, Mistake.NOT_TO_OTHERS) from None
            raise no_answer(self.check, missed, "two clients heard each other") from None

    def own_line(self, step: Stage) -> None:
        """Whether a speaker hears itself."""
        ann, bob = self.room("the client ann", "the client bob")
        words = self.token()
        ann.send(words + b"\n")
        self.hear(bob, words)
        if self._to_sender:
            try:
                self.hear(ann, words)
            except Missed as missed:
                raise because(missed, "the others heard a line, and the client that had said it did not") from None
        elif words in (back := ann.more(0.2)):
            step.fail("a client got its own line back", expected="nothing", actual=back)

    def pieces(self, step: Stage) -> None:
        """Half a line, a line of somebody else's, and the other half."""
        ann, bob, eve = self.room("the client ann", "the client bob", "the client eve")
        first, rest, between = self.token(), self.token(), self.token()
        ann.deliver(first + b" ")
        eve.send(between + b"\n")
        try:
            line = self.hear(bob, between)
            if first in line or any(first in heard for heard in self._heard[bob]):
                raise _torn(line, first, bob)
            ann.send(rest + b"\n")
            line = self.hear(bob, rest)
        except Missed as missed:
            raise no_answer(
                self.check, missed, "half a line was sent, and the other half after a line of another client"
            ) from None
        if first not in line:
            raise _torn(line, first, bob)

    def glued(self, step: Stage) -> None:
        """Two lines in one segment."""
        ann, bob = self.room("the client ann", "the client bob")
        one, other = self.token(), self.token()
        ann.send(one + b"\n" + other + b"\n")
        try:
            first, second = self.hear(bob, one), self.hear(bob, other)
        except Missed as missed:
            said = "each line alone was passed on, but not these two that came together"
            raise because(missed, said, Mistake.RECV_IS_A_MESSAGE) from None
        if other in first or first.replace(one, b"") != second.replace(other, b""):
            failure = Failed(
                "two lines came together, and the second one was not passed on like the first",
                Mistake.RECV_IS_A_MESSAGE,
                expected=first + first.replace(one, other),
                actual=first + second,
            )
            failure.peer = bob
            raise failure

    def characters(self, step: Stage) -> None:
        """A text in UTF-8, whole and then cut."""
        ann, bob = self.room("the client ann", "the client bob")
        text = "grün und 🙂".encode()
        try:
            ann.send(text + b" whole\n")
            self.hear(bob, text + b" whole")
        except Missed as missed:
            raise because(
                missed, "lines in ASCII were passed on, and this one in UTF-8 was not", Mistake.TEXT_ONLY
            ) from None
        try:
            for piece in (text[:3], text[3:-2], text[-2:] + b" cut\n"):
                ann.deliver(piece)
            self.hear(bob, text + b" cut")
        except Missed as missed:
            said = f"the line {text.decode()!r} was passed on when it came whole, and not when it was cut inside a character"
            raise because(missed, said, Mistake.SPLITS_CHARACTERS) from None

    def leaves(self, step: Stage) -> None:
        """By FIN, and by RST."""
        self.kept, (ann, bob, eve) = None, self._room  # those of the steps before: nobody has left yet
        dan = self.client("the client dan")
        self.meet(dan, ann)
        self.meet(ann, dan)
        for gone, how, leave in ((eve, "left", eve.close), (dan, "reset its connection", dan.abort)):
            leave()
            self.check.leave(gone)
            try:
                for _ in range(3):  # the first line to a peer that is gone is still taken by the kernel
                    self.tell(ann, bob)
                    self.tell(bob, ann)
            except Missed as missed:
                raise self._without(
                    missed, f"one of four clients {how}, and then the others did not hear each other any more"
                ) from None

    def _without(self, missed: Missed, said: str) -> Failed:
        ended = fate(self.check)
        if self.check.program.ending() is not None and ended is not None:
            return because(missed, f"{said}: the program {ended.words}", Mistake.ENDS_WITH_A_CLIENT)
        return because(missed, said + (f": it {ended.words}" if ended is not None else ""), Mistake.GONE_CLIENT)

    def half_a_line(self, step: Stage) -> None:
        """Its silence is no reason for the others."""
        ann, bob, eve = self.room("the client ann", "the client bob", "the client eve")
        eve.deliver(b"half a li")
        try:
            self.tell(ann, bob)
            self.tell(bob, ann)
        except Missed as missed:
            said = "one client has said half a line, and the others do not hear each other"
            raise because(missed, said, Mistake.ONE_AT_A_TIME) from None

    # -- the crowd: one more client, who hears what all others say

    def _with_a_witness(self) -> None:
        self._heard.clear()
        self._witness, other = self.room("the client wit", "the client ann")
        self.check.leave(other)

    def silent(self, step: Stage) -> None:
        """As for all servers."""
        self._with_a_witness()
        super().silent(step)

    def slow(self, step: Stage) -> None:
        """As for all servers."""
        self._with_a_witness()
        super().slow(step)

    def resets(self, step: Stage) -> None:
        """As for all servers."""
        self._with_a_witness()
        super().resets(step)

    def crowd(self, step: Stage) -> None:
        """As for all servers."""
        self._with_a_witness()
        super().crowd(step)

    def leftovers(self, step: Stage) -> None:
        """As for all servers."""
        self._with_a_witness()
        super().leftovers(step)


def _torn(line: bytes, first: bytes, peer: Peer) -> Failed:
    failure = Failed(
        "a line that came in two pieces was not passed on as one line, and the line of another client got in between",
        Mistake.RECV_IS_A_MESSAGE,
        expected=b"... " + first + b" ...\n",
        actual=line,
    )
    failure.peer = peer
    return failure


def chat_server(
    target: Target,
    *,
    name_first: bool = False,
    to_sender: bool | None = None,
    timeout: float = TIMEOUT,
    kind: Kind | None = None,
) -> Result:
    """Checks a chat room of lines: what one client says reaches all others.

    A line may arrive with something before or behind it, such as a name, and other lines may come as well (a welcome, who came in): it
    counts as heard when its words are in one line.

    Args:
        target: the program: see `socklens.check`.
        name_first: whether the first line of a client is its name, as `sl.Chat()` has it.
        to_sender: whether a client hears its own lines, too; None if either will do.
        timeout: seconds for the whole check, which starts and ends the program.
        kind: how a function is used: ``"program"``, ``"handler"`` or ``"socket handler"``. Left out: told from its parameters.

    Returns:
        A `Result`, which is true if the server passed. Its faults are told there, and never raised.

    Raises:
        TypeError, ValueError: the target can be none, the timeout is none. KeyboardInterrupt: yours; all is cleaned up then.
    """
    with door:
        check = Check("chat server", target, timeout=timeout, kind=kind)
    with check:
        _ChatServer(check, name_first, to_sender).run()
    return check.result
