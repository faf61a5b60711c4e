"""Tells IPython whom to ask after a cell has failed. Replaces none of its handlers, and imports what explains errors only when one has been
shown.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def after_cell(result: Any) -> None:
    """IPython calls this when a cell has been run and what it raised has been shown (event ``post_run_cell``)."""
    if getattr(result, "error_in_exec", None) is not None:
        from ._explain._showing import after_cell

        after_cell(result.error_in_exec)


def follow() -> None:
    """Asks IPython to call `after_cell` from now on, beside whoever else has asked for that."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        shell.events.register("post_run_cell", after_cell)
