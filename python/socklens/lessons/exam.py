"""Exam mode: notebooks without outputs and solutions, and lessons that do not tell. It keeps honest people honest and no more:
who reads this package's source finds the hints, the solutions and the judges.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

VARIABLE = "SOCKLENS_EXAM"
"""An environment variable: set to anything but nothing, hints and solutions are withheld."""

_CELL = f"""\
import os

os.environ["{VARIABLE}"] = "1"  # in this copy, lessons give no hints and no solutions"""
_TOLD = re.compile(r"\s*(?:Stuck\?\s*)?`lesson\.\w+\.(?:hint|solution)\(\)`[^.\n]*\.?")
_CALL = re.compile(r"lesson\.\w+\.(?:hint|solution)\(")


def withheld() -> bool:
    """Whether hints and solutions are withheld now: because ``SOCKLENS_EXAM`` is set, by the first cell of an exam copy or by whoever
    started this program."""
    return bool(os.environ.get(VARIABLE))


def exam_copy(notebook: bytes) -> bytes:
    """A notebook as it is handed out in an exam: no outputs, no solution cells, no call of a hint or a solution in the text, and in
    front a cell that sets ``SOCKLENS_EXAM``. That cell travels with the file, whoever copies it where.

    Raises:
        ValueError: it is no notebook.
    """
    content = json.loads(notebook)
    cells = [_bare(cell) for cell in content["cells"] if not _tells(cell)]
    first = next((number for number, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    cells.insert(first, _code_cell("exam", _CELL))
    content["cells"] = cells
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _tells(cell: dict[str, Any]) -> bool:
    """A cell that is there for the solution: by its tag, or because it calls a hint or a solution."""
    tagged = "solution" in cell["metadata"].get("tags", ())
    return tagged or (cell["cell_type"] == "code" and bool(_CALL.search(_source(cell))))


def _bare(cell: dict[str, Any]) -> dict[str, Any]:
    if cell["cell_type"] == "code":
        return cell | {"outputs": [], "execution_count": None}
    return cell | {"source": _TOLD.sub("", _source(cell)).splitlines(keepends=True)}


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])  # nbformat: a text, or a list of its lines


def _code_cell(name: str, source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }
