"""The three exceptions that Python has no class for. Everything else is a builtin: ``ConnectionRefusedError``,
``TimeoutError``, ``BrokenPipeError`` … with ``errno`` set.

The Rust side raises these; nothing here opens or reads anything.
"""

from __future__ import annotations


class ClosedError(OSError):
    """The object was closed by this program: it was used after ``close()``, ``detach()`` or ``abort()``, or another
    thread closed it while this call waited.

    ``errno`` is ``EBADF``, as Python's ``socket`` reports a closed socket. A peer that closes is another matter:
    that is ``b""`` (FIN) or ``ConnectionResetError`` (RST).
    """

    __module__ = "socklens"  # tracebacks name it as programs do


class IncompleteReadError(EOFError):
    """The stream ended inside a frame: the peer finished (FIN) before all the bytes of a line, a frame or an exact count had come.

    The bytes that did come are in ``partial`` and still in the input buffer: ``recv()`` returns them.

    Attributes:
        partial: the bytes that had come, possibly ``b""``.
        expected: how many bytes were asked for, or ``None`` where the end is a separator.
    """

    __module__ = "socklens"  # tracebacks name it as programs do

    partial: bytes
    expected: int | None

    def __init__(self, message: str, partial: bytes = b"", expected: int | None = None) -> None:
        super().__init__(message)
        self.partial = partial
        self.expected = expected

    def __reduce__(self) -> tuple[type, tuple[str, bytes, int | None]]:
        return (type(self), (self.args[0], self.partial, self.expected))


class FrameTooLongError(ValueError):
    """A line or frame is longer than the call allows. No byte is lost: they stay in the input buffer.

    Attributes:
        limit: the largest size, in bytes, that the call allowed (``max_bytes``).
    """

    __module__ = "socklens"  # tracebacks name it as programs do

    limit: int

    def __init__(self, message: str, limit: int = 0) -> None:
        super().__init__(message)
        self.limit = limit

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return (type(self), (self.args[0], self.limit))
