"""The two streams of the netcat commands: what peers sent goes to stdout, what happens to stderr. One lock keeps each
line whole; nothing here reads a socket.
"""

from __future__ import annotations

import codecs
import sys
import threading
import time
from contextlib import suppress

from .. import Connection
from ..display.escape import escape
from ..display.screen import Screen, ScreenGone, discard_stdout
from ..display.text import line
from ..display.views import connection_view
from .failure import tell
from .keyboard import at_keyboard

_SHORTEST = 60
"""Columns that a status line gets for the connection, however long the address before it is."""

_NO_NEWLINE = "\\(no newline)"
"""Ends a message that has no newline where the next line must begin. No peer can send it: `escape` doubles a backslash."""

_BURST = 20
"""Status lines a second before traffic is told less often: a dialogue shows every one, a large file does not."""


class Console:
    """Stdout and stderr, shared by all the threads of one command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out = Screen(sys.stdout)
        self._err = Screen(sys.stderr)
        self._typing = at_keyboard()
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._line_start = True
        self._last_who = ""
        self._budget = float(_BURST)
        self._budget_at = time.monotonic()

    def data(self, data: bytes, who: str, *, prefix: bool = False) -> None:
        """Writes what `who` sent: byte for byte into a pipe or file, escaped on a terminal; with its sender's name in
        front of each line if `prefix`.

        Raises:
            ScreenGone: nobody reads stdout any more.
        """
        with self._lock:
            try:
                self._past_typing(self._out)
                for piece in data.splitlines(keepends=True) if prefix else [data]:
                    self._piece(piece, who, prefix)
                sys.stdout.flush()
            except BrokenPipeError as error:
                discard_stdout()
                raise ScreenGone(*error.args) from None

    def _piece(self, piece: bytes, who: str, prefix: bool) -> None:
        if prefix and (self._line_start or who != self._last_who):
            if not self._line_start:
                self._raw(f"{self._out.dim(_NO_NEWLINE) if self._out.is_tty else ''}\n".encode())
            self._raw(f"{who}| ".encode())
        self._last_who = who
        self._line_start = piece.endswith(b"\n")
        if not self._out.is_tty:
            self._raw(piece)
            return
        # A character may arrive in two segments: each sender's decoder keeps its first half.
        decoder = self._decoders.get(who)
        if decoder is None:
            decoder = self._decoders[who] = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._out.write(escape(decoder.decode(piece), ascii_only=self._out.glyphs.ascii_only, keep="\n\t"))

    def end(self, who: str) -> None:
        """Nothing more comes from `who`: shows what is left of a character that never became whole."""
        with self._lock:
            decoder = self._decoders.pop(who, None)
            if decoder is not None:
                self._out.write(escape(decoder.decode(b"", final=True), ascii_only=self._out.glyphs.ascii_only))

    def _raw(self, data: bytes) -> None:
        if data:
            sys.stdout.buffer.write(data)

    def status(self, text: str) -> None:
        """One line on stderr about what happened."""
        with self._lock, suppress(ScreenGone):  # nobody reads the status; the bytes matter more
            self._start_line()
            self._err.write(self._err.dim(f"{self._err.glyphs.dot} {text}") + "\n")

    def failed(self, error: Exception) -> None:
        """The reason why the command fails, on stderr."""
        with self._lock, suppress(ScreenGone):
            self._start_line()
            tell(error, self._err)

    def _start_line(self) -> None:
        """Stderr begins a line of its own where both streams are one terminal."""
        if not self._line_start and self._out.is_tty and self._err.is_tty:
            self._err.write(self._err.dim(_NO_NEWLINE) + "\n")
            self._line_start = True
        self._past_typing(self._err)

    def _past_typing(self, screen: Screen) -> None:
        """Leaves what a person may have begun to type on its own line; the terminal keeps it until Enter."""
        if self._typing and self._line_start:
            screen.fresh_line()

    def traffic(self, sent: int, received: int, conn: Connection, who: str = "") -> None:
        """A status line after a send or a receive: how much, and how full the buffers are now."""
        now = time.monotonic()
        with self._lock:
            self._budget = min(_BURST, self._budget + (now - self._budget_at) * _BURST)
            self._budget_at = now
            if self._budget < 1:
                return
            self._budget -= 1
        self.look(conn, f"{who}sent {sent:,} B: " if sent else f"{who}received {received:,} B: ")

    def look(self, conn: Connection, what: str = "") -> None:
        """A status line that ends with the connection as the kernel sees it now."""
        room = max(self._err.width - len(what) - 2, _SHORTEST)
        self.status(what + line(connection_view(conn), room, self._err.glyphs))

    def interrupted(self) -> None:
        """Ctrl-C: a terminal has written ^C where the cursor was."""
        with self._lock:
            if self._err.is_tty:
                self._err.write("\n")
                self._line_start = True
