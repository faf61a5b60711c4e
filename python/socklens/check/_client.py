"""The check of a client: it is started beside a server that follows a script, several times, and the server is a difficult one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import _socklens
from .._address import Address
from .._door import door
from .._socklens import Listener
from ._check import TIMEOUT, Check
from ._diagnose import because
from ._ending import Ending
from ._failure import Failed, Missed, What
from ._kernel import processor_time, until
from ._plain import NotPlain, Returned, plain, shown
from ._program import Program, free_address
from ._result import Mistake, Result
from ._target import LOOPBACK, Command, Function, Kind, Running, Target, read

if TYPE_CHECKING:
    from ._check import Stage
    from ._peer import Peer

_END = 3.0  # seconds for a client to end, when everything is said
_IDLE = 0.3
ANYTHING: Any = object()
"""A result that is not looked at."""

_STEPS = (
    "connects and says what it should",
    "understands an answer that comes in pieces",
    "ends when the server hangs up",
    "ends when nothing listens",
)


class _Client:
    """The steps, for one check."""

    def __init__(
        self,
        check: Check,
        target: Command | Function,
        dialogue: Sequence[tuple[bytes, bytes]],
        returns: object,
        prints: str,
        stdin: bytes,
    ) -> None:
        self.check = check
        self._target = target
        self._dialogue = dialogue
        self._returns = returns
        self._prints = prints
        self._stdin = stdin
        self._program: Program | None = None

    def run(self) -> None:
        """Takes the steps, each with a new run of the client."""
        answers = any(answer for _, answer in self._dialogue)
        takes = dict(zip(_STEPS, (self.whole, self.pieces, self.hangs_up, self.refused), strict=True))
        if not answers:
            del takes[_STEPS[1]]
        if self._target_gets_a_connection():
            del takes[_STEPS[3]]
        self.check.plan(takes)
        for name, take in takes.items():
            with self.check.step(name) as step:
                take(step)
            self.check.end_program()

    def _target_gets_a_connection(self) -> bool:
        return isinstance(self._target, Function) and self._target.kind != "program"

    # -- running it

    def _start(self, address: Address) -> Program:
        program = _runner(self._target, address, self._returns, self._stdin)
        self._program = self.check.take_program(program)
        program.start()
        return program

    def _accepted(self, listener: Listener) -> Peer:
        program = self._start(listener.local_addr)
        deadline = time.monotonic() + self.check.seconds_left
        while True:
            try:
                conn = listener.accept(timeout=0.05)
            except TimeoutError:
                ending = _over(program)
                if ending is not None and listener.backlog.waiting == 0:
                    mistake = ending.mistake if ending.error or ending.fault else Mistake.NEVER_CONNECTS
                    raise Failed(f"it {ending.words}, and has not connected", mistake) from None
                if time.monotonic() > deadline:
                    said = f"it has not connected to {listener.local_addr}"
                    raise Failed(said, Mistake.NEVER_CONNECTS, expected="a connection", actual="none") from None
            else:
                return self.check.peer(conn, "the server")

    def _talk(self, peer: Peer, say: Callable[[Peer, bytes], None]) -> None:
        for i, (wanted, answer) in enumerate(self._dialogue):
            try:
                if wanted:
                    peer.expect(wanted, _END if i else None)
            except Missed as missed:
                raise self._not_said(missed, i) from None
            if answer:
                try:
                    say(peer, answer)
                except Missed as missed:
                    raise self._not_said(missed, i) from None

    def _not_said(self, missed: Missed, turn: int) -> Failed:
        wanted, got = missed.expected, missed.actual
        after = "" if turn == 0 else f"after {_count(turn, 'answer')}, "
        ending = None
        if missed.what in (What.END, What.RESET) and self._program is not None:
            until(lambda: _over(self._program), time.monotonic() + 0.5)
        if self._program is not None:
            ending = _over(self._program)
        if ending is not None and (ending.error or ending.status):
            return because(missed, f"{after}it {ending.words}", ending.mistake)
        if isinstance(wanted, bytes) and isinstance(got, bytes):
            if got and wanted == got + b"\n" and missed.what in (What.NOTHING, What.END):
                said = f"{after}it sent its line without the newline that ends it, and the server waits for that"
                return because(missed, said, Mistake.NEWLINE_MISSING)
            if got.startswith((b"b'", b'b"')):
                return because(missed, f"{after}it sent the text that Python shows for the bytes", Mistake.SENDS_REPR)
        words = {
            What.NOTHING: "it sent nothing more, and the server waits"
            if got
            else "it sent nothing, and the server waits",
            What.END: "it closed the connection before it had said everything",
            What.RESET: "it closed the connection before it had said everything, with a reset: it had not read the last answer, or aborted",
            What.OTHER: "it sent other bytes",
        }
        # Whether close() sends FIN or RST hangs on whether the answer had come by then.
        mistake = Mistake.CLOSES_EARLY if missed.what in (What.END, What.RESET) else None
        return because(missed, after + words.get(missed.what, missed.reason), mistake)

    def _finished(self, peer: Peer | None, so_far: str, *, closed: bool = True) -> None:
        """It ends by itself, and its connection before it or with it, if that is looked at."""
        program = self._program
        if program is None:
            return
        if not until(lambda: _over(program), time.monotonic() + min(_END, self.check.seconds_left)):
            raise self._hangs(program, peer, so_far)
        if closed and peer is not None and program.ending() is None and not self._target_gets_a_connection():
            try:
                peer.expect_end(_IDLE)
            except Missed as missed:
                if missed.what is What.NOTHING:
                    said = f"{so_far}, and the function returned, but its connection is still open"
                    raise because(missed, said, Mistake.NEVER_CLOSES) from None
                if missed.what is What.OTHER:
                    raise because(missed, f"{so_far}, and then it sent more than it should have") from None

    def _hangs(self, program: Program, peer: Peer | None, so_far: str) -> Failed:
        pids = program.pids()
        before, began = processor_time(pids), time.monotonic()
        until(lambda: False, began + _IDLE)
        after = processor_time(pids)
        busy = before is not None and after is not None and after - before > 0.15 * (time.monotonic() - began)
        how = "it goes on, and computes without a pause" if busy else "it goes on waiting"
        failure = Failed(
            f"{so_far}, and {_END:.0f} seconds later {how}",
            Mistake.END_NOT_SEEN if busy and peer is not None else Mistake.HANGS,
            expected="the end of the program",
            actual="it runs",
        )
        failure.peer = peer
        return failure

    def _right(self, so_far: str) -> None:
        """What it returned or printed, when all went as it should."""
        program = self._program
        if program is None:
            return
        ending = _over(program)
        if ending is not None and (ending.error or ending.status):
            raise Failed(f"{so_far}, and then it {ending.words}", ending.mistake)
        value = _value(program)
        if self._returns is not ANYTHING and (value is None or not value.equal):
            said = (value and value.fault) or "something else"
            got = "nothing" if value is None else value.shown
            raise Failed(f"{so_far}, and it returned {said}", expected=shown(self._returns), actual=got)
        if self._prints and not until(lambda: self._prints in program.output(), time.monotonic() + 0.5):
            raise Failed(
                f"{so_far}, and it did not print what it should", expected=self._prints, actual=program.output()
            )

    # -- steps

    def whole(self, step: Stage) -> None:
        """Every answer in one piece."""
        with _listener() as listener:
            peer = self._accepted(listener)
            self._talk(peer, lambda peer, answer: peer.send(answer))
            self._finished(peer, "everything was said")
            self._right("everything was said")

    def pieces(self, step: Stage) -> None:
        """Every answer in three pieces; each has been read when the next one is sent."""
        with _listener() as listener:
            peer = self._accepted(listener)
            try:
                self._talk(peer, _in_three)
                self._finished(peer, "every answer came in three pieces")
                self._right("every answer came in three pieces")
            except Failed as failure:
                raise self._worse_in_pieces(failure, peer) from None

    def _worse_in_pieces(self, failure: Failed, peer: Peer) -> Failed:
        """The pieces are the only difference to the step before."""
        until(lambda: _over(self._program), time.monotonic() + _IDLE)
        ending, value = _over(self._program), _value(self._program)
        reason, expected, actual = failure.reason, failure.expected, failure.actual
        if self._returns is not ANYTHING and value is not None and not value.equal:
            reason, expected, actual = f"it returned {value.shown}", shown(self._returns), value.shown
        elif ending is not None and ending.error:
            reason = f"it {ending.words}"
        mistake = Mistake.RECV_IS_A_MESSAGE
        if ending is not None and ending.error.startswith("UnicodeDecodeError"):
            mistake = Mistake.SPLITS_CHARACTERS
        worse = Failed(
            f"with whole answers all went well; with the same answers in three pieces each, {reason}",
            mistake,
            expected=expected,
            actual=actual,
        )
        worse.peer = peer
        return worse

    def hangs_up(self, step: Stage) -> None:
        """FIN in place of the first answer."""
        with _listener() as listener:
            peer = self._accepted(listener)
            if self._dialogue[0][0]:
                peer.expect(self._dialogue[0][0])
            peer.finish()
            self._finished(peer, "the server closed the connection", closed=False)

    def refused(self, step: Stage) -> None:
        """A port without a listener."""
        self._start(free_address())
        self._finished(None, "nothing listened where it was to connect")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _in_three(peer: Peer, answer: bytes) -> None:
    size = max(1, math.ceil(len(answer) / 3))
    for at in range(0, len(answer), size):
        peer.deliver(answer[at : at + size])


def _listener() -> Listener:
    # Not `listen`: that would replace what the cell made before.
    return _socklens._listen(LOOPBACK, 0, 16, False, True, None, None, 0)


def _over(program: Program | None) -> Ending | None:
    """How it has ended; a function that has returned has ended well, though its process waits."""
    if program is None:
        return None
    ending = program.ending()
    if ending is None and getattr(program, "returned", lambda: False)():
        return Ending()
    return ending


def _value(program: Program | None) -> Returned | None:
    """What a function has returned."""
    value: Returned | None = getattr(program, "value", lambda: None)()
    return value


def _runner(target: Command | Function, address: Address, returns: object, stdin: bytes) -> Program:
    if isinstance(target, Command):
        from ._command import CommandLine

        return CommandLine(target, address, stdin)
    from ._child import take_part
    from ._forked import Forked

    return Forked(take_part(target, address, returns), address)


def client(
    target: Target,
    dialogue: Sequence[tuple[bytes, bytes]],
    *,
    returns: object = ANYTHING,
    prints: str = "",
    stdin: bytes = b"",
    timeout: float = TIMEOUT,
    kind: Kind | None = None,
) -> Result:
    r"""Checks a client: it is started beside a server that follows a script, and has to say its part, understand the answers, and end.

        def ask(host, port):
            with sl.connect(host, port) as conn:
                conn.sendall(b"time?\n")
                return conn.recv_line()

        sl.check.client(ask, [(b"time?\n", b"12:30\n")], returns=b"12:30\n")
        sl.check.client("python client.py {host} {port}", [(b"time?\n", b"12:30\n")], prints="12:30")

    It runs several times: with whole answers, with answers in pieces, with a server that hangs up, and with none at all.

    Args:
        target: a command with ``{port}``, or a function: ``f(host, port)``, ``f(port)`` or ``f(address)`` that connects by itself, or
            ``f(conn)``, which is given a connection, ``f(sock: socket.socket)`` one of the module `socket`.
        dialogue: pairs of what the client says and what the server answers; b"" where one of them says nothing.
        returns: what the function has to return, of the same types throughout: None, bool, int, float, complex, str, bytes, bytearray, and
            list, tuple, dict, set and frozenset of those.
        prints: what has to be in that which the program prints.
        stdin: what is typed into a command, up to 64 KiB.
        timeout: seconds for the whole check.
        kind: ``"program"`` for a function that connects by itself, ``"handler"`` or ``"socket handler"`` for one that is given a
            connection. Left out: told from its parameters.

    Returns:
        A `Result`, which is true if the client passed. Its faults are told there, and never raised.

    Raises:
        TypeError, ValueError: the target can be none, the dialogue or the timeout is none. NotImplementedError: a function, where the
            system cannot fork. KeyboardInterrupt: yours; all is cleaned up then.
    """
    with door:
        found = read(target, kind)
        if isinstance(found, Running):
            raise ValueError(
                f"{found.name} is an address: a client is a function or a command, and the check listens for it"
            )
        pairs = _checked(dialogue)
        if returns is not ANYTHING and isinstance(found, Command):
            raise ValueError("a command returns nothing: use prints= for what it prints")
        _plain_or_nothing(returns)
        check = Check("client", timeout=timeout)
    check.described(found.name)
    with check:
        _Client(check, found, pairs, returns, prints, stdin).run()
    return check.result


def _plain_or_nothing(returns: object) -> None:
    if returns is not ANYTHING:
        try:
            plain(returns)
        except NotPlain as other:
            raise TypeError(
                f"returns= is compared with what a student's function returned, and so is made of Python's plain types alone; there is a "
                f"{other.kind} in it. Let the function return text, bytes, numbers or a list of them"
            ) from None


def _checked(dialogue: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    pairs = [tuple(pair) for pair in dialogue]
    if not pairs:
        raise ValueError("a dialogue is at least one pair of what the client says and what is answered")
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(part, bytes) for part in pair):
            raise TypeError(f"a dialogue is made of pairs of bytes, as in [(b'hello\\n', b'hi\\n')]; {pair!r} is none")
    return pairs  # type: ignore[return-value]
