"""One direction of a wire: what is set, and what is set anew while it runs. Decides nothing; the relay does what it is told."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._door import door
from ._mischief import DIRECTION, NONE, Mischief, Split, meant
from ._story import Towards

if TYPE_CHECKING:
    from .._socklens import _Wire


def _setting(name: str, doc: str) -> Any:
    """A property that reads what is set, and sets it on the running relay."""

    def get(self: Direction) -> Any:
        return getattr(self._mischief, name)

    def put(self: Direction, value: Any) -> None:
        self._change({name: DIRECTION[name](f"{self._name}.{name}", value)})

    return property(get, put, doc=doc)


class Direction:
    """What a wire does to the bytes of one direction: ``wire.to_server``, from the clients to the target, or ``wire.to_client``, back.

    Every attribute can be set while the wire runs, and holds for all of its connections, also those that come later, when the assignment
    is done. A position (``finish_at`` and its kin) counts the bytes before it in the direction's stream, on each connection; on a
    connection where it has been passed already, it changes nothing.

    To set anything raises ClosedError once the wire is closed, and TimeoutError if the relay does not answer within 2 seconds: the
    message says whether it is set.
    """

    __slots__ = ("_core", "_mischief", "_name", "_one_at_a_time")

    def __init__(self, name: Towards, mischief: Mischief, core: _Wire) -> None:
        self._name = name
        self._mischief = mischief
        self._core = core
        # What is set anew is made of what is set: two threads that set different things must not undo each other's.
        self._one_at_a_time = threading.RLock()

    split: Split = _setting(
        "split",
        """Into which pieces bytes are cut: ``n``, pieces of n bytes; ``(1, 4)``, sizes that come in turn; ``"random"``, sizes that the seed
        chooses, 1 to 1024 bytes; None, as they come.

        Each piece is a segment of its own (TCP_NODELAY). The next one leaves when the receiver has read the one before, so that one
        ``recv`` sees one piece: on this machine the kernel's table of sockets tells that (sock_diag(7)); to a receiver elsewhere it
        leaves 5 ms after the acknowledgement. ``hold`` bounds the wait. Nothing is held back to fill a piece: the last bytes of a
        message may be a shorter one, and the next message begins with the next size.""",
    )
    hold: float | None = _setting(
        "hold",
        """How long the next piece of ``split`` waits for the receiver to read the one before: seconds, 1 at first; None waits for ever.

        For a receiver that lets the time pass it is half as long at the next piece, and so on, down to 5 ms, until it reads again: a
        program that looks at its bytes before it takes them comes to its end too. None is for a lesson in which the reader
        comes some cells later.""",
    )
    glue: int | None = _setting(
        "glue",
        """Hold bytes back until so many wait, 1 to 262,144, or until the sender has finished; then all of them leave together, in one
        send. None holds nothing back.""",
    )
    delay: float = _setting("delay", "Seconds by which every byte, and the end, leaves later than it came. 0 is none.")
    jitter: float = _setting(
        "jitter",
        """Seconds: what comes leaves up to so much later still. The seed chooses how much; the order is kept. 0 is none.""",
    )
    rate: int | None = _setting("rate", "Bytes per second that leave at the most; None is no limit.")
    stalled: bool = _setting(
        "stalled",
        """Whether nothing leaves, neither bytes nor FIN nor RST. The relay reads on until its memory is full, 256 KiB for the direction of
        each connection.""",
    )
    reading: bool = _setting(
        "reading",
        """Whether the relay reads. False lets bytes pile up in the kernel's buffers until the sender's window is closed: back-pressure.""",
    )
    finish_at: int | None = _setting(
        "finish_at",
        """The receiver is sent FIN after so many bytes, though the sender goes on; what comes after that is thrown away. None: when the
        sender finishes.""",
    )
    close_at: int | None = _setting(
        "close_at",
        "After so many bytes in this direction the relay closes both connections: FIN to both ends. None: never.",
    )
    reset_at: int | None = _setting(
        "reset_at",
        """After so many bytes in this direction the relay resets both connections: RST to both ends, once these bytes have arrived, and no
        sooner than 20 ms after the client connected: its connect has returned by then. None: never.""",
    )
    flip_at: int | None = _setting(
        "flip_at",
        """One bit of the byte at this position is changed on its way; the seed chooses which. TCP's checksum is right all the same: each of
        the two connections has its own. 0 is the first byte; None: none.""",
    )

    def stall(self) -> None:
        """Lets nothing leave from now on; the same as ``stalled = True``."""
        self.stalled = True

    def resume(self) -> None:
        """Lets bytes leave again; the same as ``stalled = False``."""
        self.stalled = False

    def finish(self) -> None:
        """Half-closes: the receiver of every open connection gets what was sent to it by now, and FIN; what comes later is thrown away.

        What was sent may wait in the relay, in its kernel's buffer or, on this machine, in the sender's; FIN leaves behind it.
        """
        self._core.finish(self._name)

    def clear(self) -> None:
        """Sets everything back, so that bytes pass as they come."""
        with door:
            self._change({name: getattr(NONE, name) for name in DIRECTION}, "everything as it comes")

    @property
    def words(self) -> str:
        """What is set, as it is written: ``split=1, delay=0.5``; empty if bytes pass as they come."""
        return self._mischief.words()

    def _change(self, values: dict[str, Any], words: str = "") -> None:
        told = f"{self._name}: {words or ', '.join(f'{name}={value!r}' for name, value in values.items())}"
        # Before the lock: a forked child raises here, and the lock may have been held in its parent.
        self._core.settle(f"{told} is not set")
        with self._one_at_a_time:
            mischief = replace(self._mischief, **values)
            self._core.set_direction(self._name, mischief.row(), told)
            self._mischief = mischief
        self._core.settle(f"{told} is set, but not confirmed")

    def __setattr__(self, name: str, value: object) -> None:
        if not hasattr(type(self), name):
            raise AttributeError(f"{self._name} has no {name!r} to set{meant(name, list(DIRECTION))}")
        with door:
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<{self._name}: {self.words or 'as it comes'}>"
