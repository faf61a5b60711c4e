"""The line on stderr that says why a command failed. Values only: who prints it, and when, is another matter."""

from __future__ import annotations

import textwrap

from ..display.escape import escape
from ..display.screen import Screen


def sentence(error: Exception) -> str:
    """The error's own words, without the "[Errno …]" in front, as one printable line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    lines = (line.strip() for line in str(text).splitlines())
    return escape("; ".join(filter(None, lines)))


def tell(error: Exception, screen: Screen) -> None:
    """Writes why the command failed: one line, which a terminal gets wrapped at words."""
    text = f"socklens: {sentence(error)}"
    screen.write((textwrap.fill(text, screen.width, break_on_hyphens=False) if screen.is_tty else text) + "\n")
