"""What an output stream can show: its width, its characters, whether it has colours. The only place that asks."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from .glyphs import ASCII, UNICODE, Glyphs
from .text import WIDTH

_WIDEST = 100
"""Wider lines are hard to read; a picture or a paragraph does not get longer than this."""

_PLAIN = str.maketrans({"—": "-", "…": "...", "·": "-", "→": "->", "“": '"', "”": '"'})


class ScreenGone(BrokenPipeError):
    """Whoever read the stream has gone, as `head` does. A peer that went is a plain BrokenPipeError."""


class Screen:
    """A text stream, written to with what it has: `NO_COLOR` (no-color.org), a pipe and a non-Unicode encoding are
    respected, and text that the encoding lacks never raises.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.is_tty = _is_tty(stream)
        self.width = min(_asked_columns() or self._columns() or WIDTH, _WIDEST)
        self.glyphs: Glyphs = UNICODE if _shows(stream, "╭─█░▏◄●…") else ASCII
        self._obeys = self.is_tty and _obeys_ansi()
        self.colour = self._obeys and not os.environ.get("NO_COLOR")

    def write(self, text: str) -> None:
        """Writes and flushes; typographic characters become ASCII where the stream has no others.

        Raises:
            ScreenGone: nobody reads the stream any more.
        """
        if self.glyphs.ascii_only:
            text = text.translate(_PLAIN)
        encoding = self.stream.encoding or "utf-8"
        try:
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self.stream.flush()
        except BrokenPipeError as error:
            raise ScreenGone(*error.args) from None

    def fresh_line(self) -> None:
        """Moves to an empty line where somebody may have typed since the last write, and leaves what is typed to be seen.

        No program is told where a terminal's cursor is. As many spaces as there are columns end where a line begins:
        at the start of this line if the cursor was there, else of the next one. (zsh's PROMPT_SP does the same.)
        """
        if self._obeys and (columns := self._columns()):
            self.write(" " * columns + "\r\x1b[K")

    def take_back(self, rows: int) -> None:
        """Empties the last rows, and goes on writing there; nothing where the terminal cannot."""
        if self._obeys:
            self.write(f"\x1b[{rows}A\x1b[J")

    def _columns(self) -> int:
        """The terminal's own width; 0 where there is no terminal, or it does not tell."""
        try:
            return os.get_terminal_size(self.stream.fileno()).columns if self.is_tty else 0
        except (OSError, ValueError, AttributeError):
            return 0

    # Bold, dim and cyan keep their contrast on light and dark backgrounds alike.
    def bold(self, text: str) -> str:
        """For headings."""
        return self._styled(text, "1")

    def dim(self, text: str) -> str:
        """For what is said in passing."""
        return self._styled(text, "2")

    def code(self, text: str) -> str:
        """For what could be typed."""
        return self._styled(text, "36")

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and text else text


def discard_stdout() -> None:
    """Sends the rest of stdout nowhere: what Python still holds of it has no reader, and would be an error at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _asked_columns() -> int:
    """The width that the environment asks for; 0 where it does not."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() else 0


def _is_tty(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # a replaced or closed stream
        return False


def _shows(stream: TextIO, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def _obeys_ansi() -> bool:
    if os.name == "nt":
        return "WT_SESSION" in os.environ  # the old Windows console prints the sequences instead of obeying them
    return os.environ.get("TERM", "dumb") != "dumb"
