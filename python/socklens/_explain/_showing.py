"""When a diagnosis is shown without being asked for: under the traceback of an error of socklens that nobody caught.

Nothing is done when an error is raised. A notebook asks after a cell has failed (IPython's event ``post_run_cell``, beside whatever
handlers there are, and in place of none); a program only after `explain_errors`, at its end or at a thread's (``sys.excepthook`` and
``threading.excepthook``, which hand over to the hooks that were there).
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from ..display.diagnosis import as_html, body_text
from . import _scene
from ._diagnosis import Cause, Diagnosis

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "socklens looked into it:\n"
_on = True  # in notebooks; a program asks for it


def explain_errors(on: bool = True) -> None:
    """Show a diagnosis under the traceback of every error of socklens that nobody catches, or (``on=False``) no more.

    In a notebook and in IPython it is so from the start. A program asks for it, once, because it changes ``sys.excepthook`` and
    ``threading.excepthook``: the diagnosis becomes notes of the exception (PEP 678), and the hooks that were there show it. An error that
    is caught is never looked into, and costs what it always did.
    """
    global _on
    _on = on
    if not on or getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)() is not None:
        return
    if not hasattr(sys.excepthook, "socklens"):
        sys.excepthook = _noting(sys.excepthook)
    if not hasattr(threading.excepthook, "socklens"):
        threading.excepthook = _noting(threading.excepthook)


def _noting(hook: Callable[..., object]) -> Callable[..., Any]:
    def excepthook(*args: Any) -> None:
        """Attaches the diagnosis, and hands over to the hook that was there."""
        if _on:
            attach(args[1] if len(args) == 3 else args[0].exc_value)
        hook(*args)

    excepthook.socklens = True  # type: ignore[attr-defined]  # told apart from other people's
    return excepthook


def attach(error: object) -> Diagnosis | None:
    """Looks into an error of socklens and makes the diagnosis its notes; None for any other, and for one that has them already."""
    from . import explain

    try:
        if not isinstance(error, Exception) or not _scene.worth_a_look(error):
            return None
        if any(note.startswith(_MARK) for note in getattr(error, "__notes__", ())):
            return None
        found = explain(error)
        if found.cause is Cause.NOT_KNOWN:
            return None
        error.add_note(_MARK + body_text(found))
    except Exception:
        # A class of somebody else's that will not be looked at, or takes no notes: its traceback must be shown all the same.
        return None
    return found


def after_cell(error: BaseException) -> None:
    """IPython has run a cell and shown this error, which the cell raised."""
    found = attach(error) if _on else None
    if found is not None:
        from IPython.display import display

        shown = {"text/plain": body_text(found), "text/html": as_html(found, under_error=True)}
        display(shown, raw=True)  # type: ignore[no-untyped-call]
