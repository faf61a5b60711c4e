"""What the batteries of all servers share: taking the steps, and those that are about several clients and about what is left of them."""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ._diagnose import because, fate, no_answer
from ._failure import Failed, Missed, What
from ._kernel import Holdings, holdings, left_open, listener_at, until
from ._result import Mistake

if TYPE_CHECKING:
    from ._check import Check, Stage
    from ._peer import Peer

Steps: TypeAlias = "list[tuple[str, Callable[[Stage], None]]]"

CROWD = 50
_SECOND_LOT = 20
_DRIP = 0.15  # seconds between the bytes of a slow client
_DRIPS = 6
_FAST = 3.0  # seconds that a client may have to wait although another one is slow
_LEAVE = 2.5


class Battery(ABC):
    """All the steps of one check."""

    unit = "message"
    """What a request is called: "message", "line", "request"."""

    def __init__(self, check: Check, concurrent: bool = True) -> None:
        self.check = check
        self.concurrent = concurrent
        self.kept: Peer | None = None
        """A client that the next step goes on with."""

    @abstractmethod
    def steps(self) -> Steps:
        """Their names and what is done."""

    @abstractmethod
    def request(self, number: int) -> bytes:
        """One of many different requests."""

    @abstractmethod
    def receive(self, peer: Peer, number: int, seconds: float | None = None) -> None:
        """Waits for the whole reply to that request."""

    @abstractmethod
    def greet(self, peer: Peer, seconds: float | None = None) -> None:
        """What is said before anything is asked."""

    def run(self) -> None:
        """Takes the steps, one after the other, until one fails."""
        steps = self.steps()
        self.check.plan(name for name, _ in steps)
        for name, take in steps:
            with self.check.step(name, timeout=12 if take in (self.crowd, self.leftovers) else None) as step:
                try:
                    take(step)
                except Missed as missed:  # where a step expects nothing special
                    raise no_answer(self.check, missed) from None
            if self.kept is None:
                self.check.leave()

    # -- parts of steps

    def client(self, name: str = "the client") -> Peer:
        """A new client, greeted."""
        peer = self.check.connect(name)
        self.greet(peer)
        return peer

    def ask(self, peer: Peer, number: int, seconds: float | None = None) -> None:
        """One request, and the wait for its reply."""
        peer.send(self.request(number))
        self.receive(peer, number, seconds)

    def crowd_steps(self) -> Steps:
        """Several clients, and what is left of them."""
        crowd: Steps = [("survives clients that reset their connections", self.resets)]
        if self.concurrent:
            crowd = [
                ("serves others while a client is silent", self.silent),
                ("serves a fast client beside a slow one", self.slow),
                *crowd,
                (f"serves {CROWD} clients at the same time", self.crowd),
            ]
        else:
            crowd += [(f"serves {CROWD} clients, one after the other", self.queue)]
        crowd += [("keeps nothing of clients that have left", self.leftovers)]
        if self.check.program.ours:
            crowd += [("leaves its port when it is stopped", self.port_is_free)]
        return crowd

    # -- steps

    def silent(self, step: Stage) -> None:
        """Somebody connects and says nothing."""
        silent = self.check.connect("the silent client")
        until(lambda: (end := silent.far_end()) is not None and end.accepted, time.monotonic() + 0.3)
        other = None
        try:
            other = self.check.connect("the other client")
            self.greet(other, _FAST)
            self.ask(other, 5, _FAST)
        except Missed as missed:
            raise self._kept_waiting(missed, other, silent.close, "one client is connected and says nothing") from None

    def slow(self, step: Stage) -> None:
        """A request that comes byte by byte, and a client that asks meanwhile."""
        slow, fast = self.client("the slow client"), self.client("the fast client")
        request = self.request(6)
        size = -(-len(request) // _DRIPS)
        pieces = [request[at : at + size] for at in range(0, len(request), size)]
        for i, piece in enumerate(pieces):
            slow.send(piece)
            began = time.monotonic()
            if i + 1 == len(pieces):
                break
            fast = self._next_asker(fast)
            try:
                self.ask(fast, 7 + i, _FAST)
            except Missed as missed:
                why = "one client sends its request slowly"
                raise self._kept_waiting(missed, fast, slow.close, why) from None
            until(lambda: False, began + _DRIP)
        try:
            self.receive(slow, 6)
        except Missed as missed:
            # That pieces alone are no trouble was a step before this one.
            why = (
                f"a {self.unit} that comes slowly, in {len(pieces)} pieces over a second, was not answered like others"
            )
            raise no_answer(self.check, missed, why) from None

    def _next_asker(self, peer: Peer) -> Peer:
        """Who asks next: the same client, where a connection carries several requests."""
        return peer

    def _kept_waiting(self, missed: Missed, other: Peer | None, release: Callable[[], None], why: str) -> Failed:
        if missed.what is not What.NOTHING or other is None:
            return no_answer(self.check, missed, why)
        end = other.far_end()
        release()
        if other.more(_FAST):
            where = "" if end is None or end.accepted else ", and until then had not even been accepted"
            return because(
                missed,
                f"{why}, and the other one was answered only when that one had left{where}",
                Mistake.ONE_AT_A_TIME,
            )
        if end is not None and not end.accepted:
            return because(missed, f"{why}, and the other one is not accepted", Mistake.ACCEPTS_ONCE)
        return no_answer(self.check, missed, why)

    def resets(self, step: Stage) -> None:
        """RST in the middle of a request, and RST in place of reading the reply."""
        later = None
        try:
            for number, size in ((8, -2), (9, None)):
                later = self.client("the client that resets")
                later.send(self.request(number)[:size])
                if size is not None:
                    later.deliver(b"")
                later.abort()
            for number in (10, 11):
                later = self.check.connect("the next client")
                self.greet(later)
                self.ask(later, number)
                later.close()
        except Missed as missed:
            raise self.after_others(missed, later, "a client reset its connection") from None

    def after_others(self, missed: Missed, peer: Peer | None, what: str) -> Failed:
        """Why nobody is served any more after what somebody else did: before it, clients were."""
        ended = fate(self.check)
        if self.check.program.ending() is not None and ended is not None:
            return because(missed, f"{what}, and then the program {ended.words}", Mistake.ENDS_WITH_A_CLIENT)
        if missed.what is What.REFUSED or listener_at(self.check.address) is None:
            return because(missed, f"{what}, and then nothing listened any more", Mistake.ENDS_WITH_A_CLIENT)
        end = None if peer is None else peer.far_end()
        if end is not None and not end.accepted:
            return because(missed, f"{what}, and the next one is not accepted any more", Mistake.ENDS_WITH_A_CLIENT)
        return no_answer(self.check, missed, what)

    def crowd(self, step: Stage) -> None:
        """All connected, then all ask, then all read."""
        peers = []
        done = 0
        try:
            for i in range(CROWD):
                peer = self.check.connect(f"client {i + 1} of {CROWD}")
                peers.append(peer)
            for i, peer in enumerate(peers):
                self.greet(peer)
                peer.send(self.request(100 + i))
            for i, peer in enumerate(peers):
                self.receive(peer, 100 + i)
                done += 1
        except Missed as missed:
            raise self._in_the_crowd(missed, peers, done) from None

    def _in_the_crowd(self, missed: Missed, peers: list[Peer], done: int) -> Failed:
        said = f"{len(peers)} of {CROWD} clients were connected at the same time, and {done} were answered"
        if len(peers) < CROWD:
            return because(missed, f"{said}; the next one: {missed.reason}")
        got = missed.actual
        if missed.what is What.OTHER and isinstance(got, bytes) and missed.peer in peers:
            mine = peers.index(missed.peer)
            for i in range(CROWD):
                if i != mine and (theirs := self.request(100 + i).strip()) and theirs in got:
                    return because(
                        missed, f"{said}; client {mine + 1} got what belongs to client {i + 1}", Mistake.MIXES_CLIENTS
                    )
        return no_answer(self.check, missed, said)

    def queue(self, step: Stage) -> None:
        """For a server that serves one client after the other."""
        for i in range(CROWD):
            try:
                peer = self.client(f"client {i + 1} of {CROWD}")
                self.ask(peer, 100 + i)
            except Missed as missed:
                raise no_answer(self.check, missed, f"{i} clients were served, one after the other") from None
            self.check.leave(peer)

    def leftovers(self, step: Stage) -> None:
        """Sockets and threads, counted before and after a second lot of clients: what a first one leaves may be a pool."""
        before = self._held()
        if before is None:
            step.leave_out("what the program has open is not told here")
            return
        for i in range(_SECOND_LOT):
            peer = self.client(f"client {i + 1} of {_SECOND_LOT}")
            self.ask(peer, 200 + i)
            self.check.leave(peer)
        limit = _SECOND_LOT * 3 // 4
        now = before

        def gone() -> bool:
            nonlocal now
            now = self._held() or before
            return now.sockets - before.sockets < limit and now.threads - before.threads < limit

        if until(gone, time.monotonic() + _LEAVE):
            return
        more = now.sockets - before.sockets
        if more >= limit:
            waits = left_open(self.check.address.port)
            told = f", and {waits} wait to be closed (CLOSE_WAIT)" if waits else ""
            reason = f"{_SECOND_LOT} clients came and left, and the program has {more} sockets more than before{told}"
            step.fail(
                reason, Mistake.LEAKS_SOCKETS, expected=f"{before.sockets} sockets", actual=f"{now.sockets} sockets"
            )
        more = now.threads - before.threads
        step.fail(
            f"{_SECOND_LOT} clients came and left, and the program has {more} threads more than before",
            Mistake.LEAKS_THREADS,
            expected=f"{before.threads} threads",
            actual=f"{now.threads} threads",
        )

    def _held(self) -> Holdings | None:
        """What the program has open when it has come to rest."""
        found = holdings(self.check.program.pids())
        steady = time.monotonic() + 0.1
        deadline = time.monotonic() + 1.0
        while found is not None and time.monotonic() < min(steady, deadline):
            until(lambda: False, time.monotonic() + 0.02)
            again = holdings(self.check.program.pids())
            if again != found:
                found, steady = again, time.monotonic() + 0.1
        return found

    def port_is_free(self, step: Stage) -> None:
        """Stopped, and its port bound again."""
        address = self.check.address
        self.check.program.stop()

        def free() -> bool:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(tuple(address))
                    probe.listen()
                except OSError:
                    return False
            return True

        if not until(free, time.monotonic() + 2.0):
            row = listener_at(address)
            who = "" if row is None or row.pid is None else f": {row.program} (process {row.pid})"
            step.fail(f"the program was stopped, and {address} is still taken{who}", Mistake.KEEPS_THE_PORT)
