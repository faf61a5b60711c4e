"""What a server remembers, as text and as HTML. Pure functions of words; an error may quote whatever a client sent, so every one of them
passes `escape`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from .escape import escape
from .roster import styled

_LINES = "\n\\"  # of a traceback, whose backslashes are the program's own source


def log_text(lines: Iterable[str]) -> str:
    """Records, a line for each."""
    return "\n".join(map(escape, lines)) or "[]"


def log_html(what: str, lines: Iterable[str]) -> str:
    """What the records are, and a line for each."""
    rows = "".join(f"<li>{html.escape(escape(line))}</li>" for line in lines)
    return styled(f"<p>{html.escape(escape(what))}</p>{f'<ul>{rows}</ul>' if rows else ''}")


def error_text(line: str, traceback: str) -> str:
    """An error and its traceback, as lines."""
    return f"{escape(line)}\n{escape(traceback, keep=_LINES).rstrip()}"


def error_html(line: str, traceback: str) -> str:
    """An error and its traceback."""
    lines = html.escape(escape(traceback, keep=_LINES).rstrip())
    return styled(f"<p><strong>ServerError</strong> {html.escape(escape(line))}</p><pre>{lines}</pre>")
