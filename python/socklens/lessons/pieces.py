"""A sender for checks: its pieces never meet in the receiver's buffer, because each one goes only when the one before it has been
taken. It reads nothing, and it ends when its `with` block does.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import socklens as sl


class Pieces:
    """Sends ``pieces`` from ``sender`` to ``receiver``, one after the other, while the `with` block runs.

    Args:
        sender: the end that sends.
        receiver: the other end of the same connection; only its totals are looked at.
        pieces: what one ``recv`` each will find.
        finish: end the stream (FIN) after the last piece.
        seconds: the longest that one ``send`` may take.
    """

    def __init__(
        self,
        sender: sl.Connection,
        receiver: sl.Connection,
        pieces: Sequence[bytes],
        *,
        finish: bool = False,
        seconds: float = 3.0,
    ) -> None:
        self.delivered = 0  # pieces that were taken to the last byte
        self._sender = sender
        self._receiver = receiver
        self._pieces = tuple(pieces)
        self._finish = finish
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, name="socklens-check-pieces", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(2 * self._seconds)

    @property
    def all_delivered(self) -> bool:
        """Whether the receiver has taken everything there was."""
        return self.delivered == len(self._pieces)

    def _play(self) -> None:
        taken = self._receiver.totals.received
        try:
            for piece in self._pieces:
                self._sender.sendall(piece, timeout=self._seconds)
                taken += len(piece)
                while self._receiver.totals.received < taken:
                    if self._over.wait(0.001):
                        return
                self.delivered += 1
            if self._finish:
                self._sender.shutdown("send")
        except OSError:
            return  # the function under test has closed its end: judged from that side
