"""The check of an echo server: whatever bytes come go back, as they are, until the client has finished (RFC 862)."""

from __future__ import annotations

from ._check import TIMEOUT, Check
from ._result import Result
from ._stream import Battery, Talk
from ._target import Kind, Target

_TEXT = b"hello"


class _Bytes(Talk):
    """Requests without a form: each is its own answer."""

    unit = "message"
    lines = False

    def request(self, number: int) -> bytes:
        return b"hello" if number == 0 else b"message %d" % number

    def reply(self, request: bytes) -> bytes:
        return request

    def text(self) -> str:
        return "grün, 10 € und 🙂"

    def big(self) -> bytes:
        return b"".join(b"%08d" % number for number in range(1_000_000 // 8))


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
    check = Check("echo server", target, timeout=timeout, kind=kind)
    with check:
        Battery(check, _Bytes(), concurrent).run()
    return check.result
