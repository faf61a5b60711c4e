"""Which notebook cell is being run, and where in a notebook or program a line stands. Asks IPython only where it is in use already."""

from __future__ import annotations

import sys

# Not from `typing`, whose import would take longer than all of this package's.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


class Cell:
    """One run of one notebook cell. ``key`` is the same whenever the cell is run again, ``run`` never."""

    __slots__ = ("key", "run")

    def __init__(self, key: str, run: str) -> None:
        self.key = key
        self.run = run


def current(frame: FrameType) -> Cell | None:
    """The cell that is being run, seen from a frame inside it; None outside IPython.

    JupyterLab and VS Code send a cell's id with every run. Where there is none (nbclient, a terminal), a cell is known by its text: IPython
    names a cell's code after it.
    """
    shell = _shell()
    if shell is None:
        return None
    parent = _parent(shell)
    run = str(parent.get("header", {}).get("msg_id") or shell.execution_count)
    cell_id = parent.get("metadata", {}).get("cellId")
    if cell_id:
        return Cell(str(cell_id), run)
    code = _code_of_cell(frame, shell)
    return None if code is None else Cell(code, run)


def number(file: str) -> int | None:
    """The number of the cell whose code has this name, at this moment: the same text run again has the same name."""
    shell = _shell()
    return None if shell is None else _cell_numbers(shell).get(file)


def describe(file: str, line: int, cell: int | None) -> str:
    """A line as a person finds it again: ``cell In[3], line 2`` or ``chat.py, line 12``."""
    return f"{file}, line {line}" if cell is None else f"cell In[{cell}], line {line}"


def namespace() -> dict[str, Any]:
    """The variables that the person at the keyboard has made."""
    shell = _shell()
    if shell is not None:
        return dict(shell.user_ns)
    return dict(vars(sys.modules["__main__"]))


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def _parent(shell: Any) -> dict[str, Any]:
    """The message that asked for this run; a terminal's IPython has none."""
    get_parent = getattr(shell, "get_parent", None)
    parent = get_parent() if get_parent is not None else None
    return parent if isinstance(parent, dict) else {}


def _cell_numbers(shell: Any) -> dict[str, int]:
    """IPython's table from the name of a cell's code to its number; empty in a version that has none."""
    return getattr(getattr(shell, "compile", None), "_filename_map", None) or {}


def _code_of_cell(frame: FrameType | None, shell: Any) -> str | None:
    """The name of the cell's code that is furthest out: a function may be of another cell than the one that calls it."""
    cells = _cell_numbers(shell)
    found = None
    while frame is not None:
        name = frame.f_code.co_filename
        if name in cells or name.startswith("<ipython-input-"):
            # A terminal's name for a cell has the number of the run in it: <ipython-input-3-0123456789ab>.
            found = name.rsplit("-", 1)[-1] if name.startswith("<") else name
        frame = frame.f_back
    return found
