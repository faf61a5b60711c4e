"""A check: its steps one after the other, each and all bounded in time, and whatever they opened or started is ended when it is over."""

from __future__ import annotations

import contextlib
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .._address import Address
from .._door import door
from .._socklens import Connection
from ..story import Event, Story, record
from ._ending import Ending
from ._failure import Failed, LeftOut, Missed
from ._peer import Peer, connected
from ._program import Program, program
from ._result import Mistake, Outcome, Result, Step
from ._target import Kind, Target, read

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT = 20.0
STEP_TIMEOUT = 5.0
_EVENTS = 4096
_MOST_DRAWN = 24
_LIFELINES = 4


class Check:
    """A check of one's own: steps, one after the other, until one fails.

        def greeter(target):
            with sl.check.Check("greeter", target) as check:
                with check.step("greets each client") as step:
                    client = check.connect()
                    client.expect(b"hello\\n")
                with check.step("says good-bye"):
                    client.finish()
                    client.expect(b"bye\\n")
                    client.expect_end()
            return check.result

    The target is started when the ``with`` block begins, and the first step, which is made by itself, is that it listens. A step fails
    when its `Peer` does not get what it waits for, by ``step.expect(got, wanted)``, by ``step.fail(reason)``, by an OSError or by a
    plain ``assert``; what comes after it in the block is not run. Any other exception is the check's own fault, and is raised.

    Args:
        name: what is checked, as its result says it: "greeter".
        target: see `socklens.check`; None for a check that opens what it needs by itself.
        timeout: seconds for the whole check.
        step_timeout: seconds for each step that says nothing else.
        kind: how a function is used: ``"program"``, ``"handler"`` or ``"socket handler"``. Left out: told from its parameters.

    Raises:
        TypeError, ValueError: the target can be none, a time is none.
    """

    def __init__(
        self,
        name: str,
        target: Target | None = None,
        *,
        timeout: float = TIMEOUT,
        step_timeout: float = STEP_TIMEOUT,
        kind: Kind | None = None,
    ) -> None:
        self.name = name
        with door:
            self._timeout = seconds("timeout", timeout)
            self._step_timeout = seconds("step_timeout", step_timeout)
            self._read = None if target is None else read(target, kind)
        self.echoes = False
        """Whether each answer is the request itself."""
        self._target_name = "" if self._read is None else self._read.name
        self._program: Program | None = None
        self._peers: list[Peer] = []
        self._steps: list[Step] = []
        self._planned: list[str] = []
        self._reason = ""
        self._mistake: Mistake | None = None
        self._events: tuple[Event, ...] = ()
        self._state = "not begun"
        self._began = self._ended = self._step_end = 0.0
        self._step: Stage | None = None
        self._known_troubles = 0

    # Life

    def __enter__(self) -> Self:
        if self._state != "not begun":
            raise RuntimeError("a check is made once: make a new Check for the next one")
        self._state = "going on"
        self._began = time.monotonic()
        self._step_end = self._began + self._timeout
        if self._read is not None:
            self._program = program(self._read)
            try:
                self._start()
            except Failed:
                # A with block cannot be left before it has begun: its first step leaves it.
                pass
            except BaseException:
                self._clean_up()
                raise
        return self

    def _start(self) -> None:
        from ._listening import listens

        with self.step("listens where it was told") as step:
            listens(self, step)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Failed) and not self._reason:
            self._failed("between two steps", error, 0.0)
        self._clean_up()
        return isinstance(error, Failed)

    def _failed(self, step: str, failure: Failed, took: float) -> None:
        """The verdict. A program that the check itself has ended has made no mistake, whatever its end looked like."""
        reason, mistake = failure.reason, failure.mistake
        ended = None if self._program is None else self._program.ending()
        if ended is not None and ended.fault:
            mistake = None
            if ended.fault not in reason:
                reason = f"{reason.rstrip('.')}: the program {ended.fault}"
        self._steps.append(Step(step, Outcome.FAILED, failure.expected, failure.actual, took, reason))
        self._reason, self._mistake = sentence(reason), mistake

    def _clean_up(self) -> None:
        """Whatever happened, and also on Ctrl-C: no socket, no thread and no process is left."""
        self._state = "over"
        try:
            for peer in self._peers:
                peer.conn.close()
        finally:
            self._end_program()
        self._ended = time.monotonic()

    # Steps

    def step(self, name: str, *, timeout: float | None = None) -> Stage:
        """The next step, for a ``with`` statement.

        Args:
            name: what it is about, as a promise of the program: "greets each client".
            timeout: seconds for it; never more than what is left of the check's.
        """
        if self._state != "going on":
            raise RuntimeError(f"this check is {self._state}: steps are made inside `with check:`")
        if self._step is not None:
            raise RuntimeError(f"the step {self._step.name!r} goes on: one step after the other")
        return Stage(self, name, self._step_timeout if timeout is None else seconds("timeout", timeout))

    def described(self, target: str) -> None:
        """What the result says that was checked, where the check starts it by itself."""
        self._target_name = target

    def take_program(self, program: Program) -> Program:
        """A program that a step starts: it is ended with the check, or by `end_program`."""
        self._program = program
        return program

    def end_program(self) -> None:
        """Ends the program, and closes all connections."""
        self.leave()
        self._end_program()

    def _end_program(self) -> None:
        if self._program is not None:
            try:
                self._program.stop()
            finally:
                self._program.sweep()

    def plan(self, names: Iterable[str]) -> None:
        """The names of steps to come: those that are not reached are in the result as not run."""
        self._planned += names

    @property
    def address(self) -> Address:
        """Where the program listens."""
        return self.program.address

    @property
    def program(self) -> Program:
        """What runs the target."""
        if self._program is None:
            raise RuntimeError("this check has no target: Check(name, target)")
        return self._program

    def connect(self, name: str = "the client", *, narrow: bool = False) -> Peer:
        """A new client of the program, which the check closes when it is over.

        Args:
            name: what it is called in reasons.
            narrow: small buffers, and small segments such as a network has, so that little is on its way when nobody reads.
        """
        return self._taken(connected(self.address, self._deadline, name, narrow))

    def peer(self, conn: Connection, name: str = "the other end") -> Peer:
        """A `Peer` for a connection that the step made itself; the check closes it, too."""
        return self._taken(Peer(conn, self._deadline, name))

    def _taken(self, peer: Peer) -> Peer:
        self._peers.append(peer)
        return peer

    def leave(self, *peers: Peer) -> None:
        """Closes clients; all that the check has, if none is named."""
        for peer in peers or tuple(self._peers):
            peer.close()
            self._peers.remove(peer)

    def _deadline(self) -> float:
        return self._step_end

    def new_trouble(self) -> Ending | None:
        """The first exception that serving a client has raised since the step began; a client's own end may make a handler raise."""
        troubles = self.program.troubles()[self._known_troubles :]
        return troubles[0] if troubles else None

    @property
    def seconds_left(self) -> float:
        """Of the step that goes on, or of the check between two steps."""
        return max(0.0, self._step_end - time.monotonic())

    # Its result

    @property
    def result(self) -> Result:
        """What was found, so far."""
        end = self._ended if self._state == "over" else time.monotonic()
        done = {step.name for step in self._steps}
        rest = [Step(name, Outcome.NOT_RUN) for name in self._planned if self._reason and name not in done]
        return Result(
            self.name,
            self._target_name,
            self._reason,
            self._mistake,
            (*self._steps, *rest),
            "" if self._program is None else self._program.output(),
            end - self._began if self._began else 0.0,
            self._events,
        )

    def __repr__(self) -> str:
        return f"<Check {self.name!r} {self._state}, {len(self._steps)} steps>"


class Stage:
    """One step while it goes on: made by `Check.step()`.

    Attributes:
        name: as it was given.
    """

    def __init__(self, check: Check, name: str, timeout: float) -> None:
        self.name = name
        self._check = check
        self._timeout = timeout
        self._began = 0.0
        self._story: Story | None = None
        self._first = 0

    def expect(self, got: object, wanted: object, reason: str = "", mistake: Mistake | None = None) -> None:
        """Goes on if the two are equal; else the step fails, for this reason or one that says that they differ."""
        if got != wanted:
            self.fail(reason or "it is not what was expected", mistake, expected=wanted, actual=got)

    def fail(
        self, reason: str, mistake: Mistake | None = None, *, expected: object = None, actual: object = None
    ) -> None:
        """Fails the step, and ends the check."""
        raise Failed(reason, mistake, expected=expected, actual=actual)

    def leave_out(self, why: str) -> None:
        """Ends the step without a verdict: what it is about cannot be looked at here."""
        raise LeftOut(why)

    @property
    def waited(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def __enter__(self) -> Self:
        check = self._check
        if check._reason:
            raise Failed(check._reason)  # the program does not even listen
        self._began = time.monotonic()
        end = check._began + check._timeout
        check._step, check._step_end = self, min(self._began + self._timeout, end)
        self._first = len(check._peers)
        check._known_troubles = 0 if check._program is None else len(check._program.troubles())
        self._story = record(_EVENTS)
        self._story.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        took = time.monotonic() - self._began
        failure = _as_failure(error)
        events = self._end(failure)
        check = self._check
        if error is None:
            check._steps.append(Step(self.name, Outcome.PASSED, seconds=took))
        elif isinstance(error, LeftOut):
            check._steps.append(Step(self.name, Outcome.LEFT_OUT, seconds=took, detail=str(error)))
            return True
        elif failure is not None:
            check._failed(self.name, failure, took)
            check._events = events
            if failure is not error:
                raise failure from error
        return False

    def _end(self, failure: Failed | None) -> tuple[Event, ...]:
        """Ends the recording, and gives those of its events that the failure is about."""
        check = self._check
        check._step, check._step_end = None, check._began + check._timeout
        story, self._story = self._story, None
        if story is None:
            return ()
        events = story.events if failure is not None else ()
        with contextlib.suppress(OSError):
            story.__exit__(None, None, None)
        if failure is None:
            return ()
        peers = check._peers[self._first :]
        if failure.peer is not None and (len(peers) > _LIFELINES or failure.peer not in peers):
            peers = [failure.peer]
        ends = {peer.local_addr for peer in peers[:_LIFELINES]}
        mine = [event for event in events if event.local in ends or (event.local is None and _is_mine(event, check))]
        return tuple(mine[-_MOST_DRAWN:])


def _is_mine(event: Event, check: Check) -> bool:
    return check._program is not None and event.call == "connect" and event.peer == check.address


def _as_failure(error: BaseException | None) -> Failed | None:
    """What a step's exception says about the program; None if it says nothing about it."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, AssertionError):
        return Failed(str(error) or "what the step asserts is not true")
    if isinstance(error, OSError | EOFError):
        return Failed(f"{type(error).__name__}: {error}")
    return None


def sentence(text: str) -> str:
    """With a capital at its begin and a full stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", ":")) else ".") if text else ""


def seconds(name: str, value: Any) -> float:
    """The value as a number of seconds above 0.

    Raises:
        TypeError: it is no number. ValueError: it is not above 0, or without end.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number of seconds, not {value!r}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is a number of seconds above 0, not {value}: a check comes to an end")
    return float(value)


__all__ = ["Check", "Missed", "Stage"]
