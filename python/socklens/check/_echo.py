"""The check of an echo server: whatever bytes come go back, as they are, until the client has finished (RFC 862)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._door import door
from ._battery import Steps
from ._check import TIMEOUT, Check
from ._diagnose import because, no_answer
from ._failure import Missed
from ._result import Mistake, Result
from ._stream import Stream, Talk
from ._target import Kind, Target

if TYPE_CHECKING:
    from ._check import Stage


class _Bytes(Talk):
    """Requests without a form: each is its own answer."""

    unit = "message"
    lines = False

    def request(self, number: int) -> bytes:
        return b"hello" if number == 0 else b"message %d" % number

    def reply(self, requests: bytes) -> bytes:
        return requests

    def text(self) -> bytes:
        return "grün, 10 € und 🙂".encode()

    def big(self) -> bytes:
        return b"".join(b"%08d" % number for number in range(1_000_000 // 8))


class _Echo(Stream):
    def special_steps(self) -> Steps:
        return [("sends back any bytes, text or not", self.any_bytes)]

    def any_bytes(self, step: Stage) -> None:
        """All bytes that there are, most of which are no text; and some that look like nothing when they are stripped."""
        peer = self.client()
        try:
            for data in (b"  spaces around ", b" ", b"\n", b"\r\n", b"\0"):
                peer.deliver(data)
                peer.expect(data)
        except Missed as missed:
            alone = "" if data.strip() else " alone"
            raise no_answer(self.check, missed, f"text was sent back, but not {data!r}{alone}") from None
        data = bytes(range(256))
        try:
            peer.send(data)
            peer.expect(data)
        except Missed as missed:
            reason = no_answer(
                self.check, missed, "text was sent back, but not the bytes 0 to 255, which are no text"
            ).reason
            raise because(missed, reason, Mistake.TEXT_ONLY) from None


def echo_server(
    target: Target, *, concurrent: bool = True, timeout: float = TIMEOUT, kind: Kind | None = None
) -> Result:
    """Checks a server that sends back every byte it gets, and closes when its client has finished.

    Args:
        target: the program: see `socklens.check`.
        concurrent: whether it has to serve several clients at the same time; False for a server that serves one after the other.
        timeout: seconds for the whole check, which starts and ends the program.
        kind: how a function is used: ``"program"``, ``"handler"`` or ``"socket handler"``. Left out: told from its parameters.

    Returns:
        A `Result`, which is true if the server passed. Its faults are told there, and never raised.

    Raises:
        TypeError, ValueError: the target can be none, the timeout is none. KeyboardInterrupt: yours; all is cleaned up then.
    """
    with door:
        check = Check("echo server", target, timeout=timeout, kind=kind)
    check.echoes = True
    with check:
        _Echo(check, _Bytes(), concurrent).run()
    return check.result
