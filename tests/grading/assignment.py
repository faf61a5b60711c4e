"""One assignment, written once, as the notebooks that nbgrader and Otter want of an instructor; and what students hand in. Nothing is run.

The texts lie beside this file: task.md is what students read, solved.py the solution with its marks, broken/ what went wrong for others.
"""

from __future__ import annotations

import copy
import textwrap
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

v4: Any = nbformat.v4  # has no types
HERE = Path(__file__).parent
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

TASK = (HERE / "task.md").read_text(encoding="utf-8").strip()
SETUP = "import socklens as sl"
SOLUTION = (HERE / "solved.py").read_text(encoding="utf-8").partition("\n\n")[2].strip()

# What students see, and may run as often as they like: a check of the instructor's own.
VISIBLE = """\
with sl.check.Check("a first client", serve) as check, check.step("sends a line back"):
    client = check.connect()
    client.send(b"hello\\n")
    client.expect(b"hello\\n")
assert check.result, check.result"""

# What only the autograder runs: one that socklens brings.
HIDDEN = """\
result = sl.check.line_server(serve)
assert result, result"""

VISIBLE_POINTS, HIDDEN_POINTS = 2, 8

_KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def for_nbgrader() -> NotebookNode:
    """The source notebook: what makes a cell an answer or a test is its metadata."""
    hidden = f"### BEGIN HIDDEN TESTS\n{HIDDEN}\n### END HIDDEN TESTS"
    return _notebook(
        v4.new_markdown_cell(TASK, metadata=_nbgrader("task", cell_type="markdown")),
        v4.new_code_cell(SETUP, metadata=_nbgrader("setup")),
        v4.new_code_cell(SOLUTION, metadata=_nbgrader("serve", solution=True, locked=False)),
        v4.new_code_cell(VISIBLE, metadata=_nbgrader("visible", grade=True, points=VISIBLE_POINTS)),
        v4.new_code_cell(hidden, metadata=_nbgrader("hidden", grade=True, points=HIDDEN_POINTS)),
    )


def for_otter() -> NotebookNode:
    """The master notebook: raw cells say what comes next, and a test is a function of the names that it looks at."""
    config = "# ASSIGNMENT CONFIG\nexport_cell: false\ngenerate: true\ntests:\n    ok_format: false"
    return _notebook(
        v4.new_raw_cell(config),
        v4.new_code_cell(SETUP),
        v4.new_raw_cell("# BEGIN QUESTION\nname: serve\npoints: 10"),
        v4.new_markdown_cell(TASK),
        v4.new_raw_cell("# BEGIN SOLUTION"),
        v4.new_code_cell(SOLUTION.replace("### ", "# ")),
        v4.new_raw_cell("# END SOLUTION"),
        v4.new_raw_cell("# BEGIN TESTS"),
        v4.new_code_cell(_otter_test("visible", VISIBLE, VISIBLE_POINTS, hidden=False)),
        v4.new_code_cell(_otter_test("hidden", HIDDEN, HIDDEN_POINTS, hidden=True)),
        v4.new_raw_cell("# END TESTS"),
        v4.new_raw_cell("# END QUESTION"),
    )


def handed_in(released: NotebookNode, answer: str) -> NotebookNode:
    """The notebook that students were given, with the answer in its answer cell."""
    notebook = copy.deepcopy(released)
    [cell] = [cell for cell in notebook.cells if _is_answer(cell.metadata)]
    cell.source = answer
    return notebook


def answers() -> dict[str, str]:
    """What students wrote, by a short name for it: the solution, and what is broken."""
    without_marks = "\n".join(line for line in SOLUTION.splitlines() if line.strip() not in (BEGIN, END))
    broken = {path.stem: path.read_text(encoding="utf-8") for path in sorted((HERE / "broken").glob("*.py"))}
    return {"solved": without_marks, **broken}


def _notebook(*cells: NotebookNode) -> NotebookNode:
    notebook: NotebookNode = v4.new_notebook(cells=list(cells), metadata=_KERNEL)
    return notebook


def _nbgrader(name: str, **told: Any) -> dict[str, Any]:
    plain = {"grade": False, "solution": False, "locked": True, "task": False, "schema_version": 3}
    return {"nbgrader": {**plain, "grade_id": name, **told}}


def _otter_test(name: str, code: str, points: int, *, hidden: bool) -> str:
    config = (
        f'""" # BEGIN TEST CONFIG\nname: {name}\npoints: {points}\nhidden: {str(hidden).lower()}\n""" # END TEST CONFIG'
    )
    return f"{config}\ndef test_{name}(serve, sl):\n{textwrap.indent(code, '    ')}"


def _is_answer(metadata: Any) -> bool:
    return bool(metadata.get("nbgrader", {}).get("solution")) or "otter_answer_cell" in metadata.get("tags", ())
