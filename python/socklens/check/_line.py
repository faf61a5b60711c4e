"""The check of a server of lines: one reply to each whole line, however the lines arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .._door import door
from ._battery import Steps
from ._check import TIMEOUT, Check
from ._diagnose import because, no_answer
from ._failure import Missed, What
from ._result import Mistake, Result
from ._stream import Stream, Talk
from ._target import Kind, Target

if TYPE_CHECKING:
    from ._check import Stage

_LONG = 50_000  # bytes of a long line: more than one recv() gets, less than any sensible limit
_MEGABYTE = 1_000_000


class _Lines(Talk):
    unit = "line"
    lines = True

    def __init__(
        self, answer: Callable[[bytes], bytes] | None, requests: Sequence[bytes] | None, greeting: bytes
    ) -> None:
        self._answer = answer
        self._requests = requests
        self.greeting = greeting

    def request(self, number: int) -> bytes:
        if self._requests is not None:
            return self._requests[number % len(self._requests)]
        return b"line %d\n" % number

    def reply(self, requests: bytes) -> bytes:
        if self._answer is None:
            return requests
        return b"".join(
            _bytes("what answer returns", self._answer(line)) for line in requests.splitlines(keepends=True)
        )

    @property
    def free(self) -> bool:
        """Whether any line will do."""
        return self._requests is None

    def text(self) -> bytes:
        return "grün, 10 € und 🙂\n".encode() if self.free else b""

    def big(self) -> bytes:
        if self._requests is not None:
            once = b"".join(self._requests)
            return once * (_MEGABYTE // len(once))
        long = b"".join(b"%08d" % number for number in range(_LONG // 8))[: _LONG - 1] + b"\n"
        return long * (_MEGABYTE // _LONG)


class _LineServer(Stream):
    talk: _Lines

    def special_steps(self) -> Steps:
        if not self.talk.free:
            return []
        return [("answers an empty line", self.empty), ("keeps the blanks around a line", self.blanks)]

    def empty(self, step: Stage) -> None:
        """Which is no end."""
        peer = self.client()
        try:
            peer.send(b"\n")
            peer.expect(self.talk.reply(b"\n"))
            self.ask(peer, 12)
        except Missed as missed:
            said = "lines with text were answered, but not an empty one"
            if missed.what is What.END:
                raise because(missed, f"{said}: it closed the connection", Mistake.EMPTY_LINE) from None
            raise no_answer(self.check, missed, said) from None

    def blanks(self, step: Stage) -> None:
        """Which strip() takes away with the newline."""
        peer = self.client()
        try:
            peer.send(b"  line 13 \n")
            peer.expect(self.talk.reply(b"  line 13 \n"))
        except Missed as missed:
            raise no_answer(self.check, missed, "lines were answered, but not one with blanks around it") from None


def line_server(
    target: Target,
    answer: Callable[[bytes], bytes] | None = None,
    *,
    requests: Sequence[bytes] | None = None,
    greeting: bytes = b"",
    concurrent: bool = True,
    timeout: float = TIMEOUT,
    kind: Kind | None = None,
) -> Result:
    r"""Checks a server that answers each line with one reply, and closes when its client has finished.

        sl.check.line_server(shout, lambda line: line.upper())
        sl.check.line_server("java Calculator {port}", calculate, requests=[b"1+2\n", b"6*7\n"])

    Args:
        target: the program: see `socklens.check`.
        answer: gives the right reply to a line, both with their ``b"\n"``. Left out: the line itself, as an echo.
        requests: the lines to ask with, each with its ``b"\n"``, for a server that does not know just any.
        greeting: what the server says to a new client before anything is asked.
        concurrent: whether it has to serve several clients at the same time; False for a server that serves one after the other.
        timeout: seconds for the whole check, which starts and ends the program.
        kind: how a function is used: ``"program"``, ``"handler"`` or ``"socket handler"``. Left out: told from its parameters.

    Returns:
        A `Result`, which is true if the server passed. Its faults are told there, and never raised.

    Raises:
        TypeError, ValueError: the target can be none; answer, requests, greeting or the timeout is none. KeyboardInterrupt: yours; all is
            cleaned up then.
    """
    with door:
        if answer is not None and not callable(answer):
            raise TypeError(
                f"answer is a function from a line to its reply, as in lambda line: line.upper(), not {answer!r}"
            )
        talk = _Lines(answer, _checked(requests), _bytes("greeting", greeting))
        talk.reply(talk.request(0))  # so that an answer of a wrong type is told before anything is started
        check = Check("line server", target, timeout=timeout, kind=kind)
    check.echoes = answer is None and not greeting
    with check:
        _LineServer(check, talk, concurrent).run()
    return check.result


def _checked(requests: Sequence[bytes] | None) -> Sequence[bytes] | None:
    if requests is None:
        return None
    if isinstance(requests, bytes | str) or not requests:
        raise ValueError(f"requests are several lines, as in [b'1+2\\n', b'6*7\\n'], not {requests!r}")
    for line in requests:
        if not _bytes("a request", line).endswith(b"\n") or line.count(b"\n") != 1:
            raise ValueError(f"each request is one line, which ends with b'\\n'; {line!r} is not")
    return tuple(requests)


def _bytes(what: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        hint = ": write it with .encode()" if isinstance(value, str) else ""
        raise TypeError(f"{what} is bytes, not {type(value).__name__}{hint}")
    return value
