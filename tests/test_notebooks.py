"""Every notebook of the course, run in a real kernel: as it is, a second time, cell by cell twice, and solved. The repository
holds no output.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import helpers
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from socklens.lessons import stage

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
FIRST_SESSION = NOTEBOOKS[0]
PASSED, NOT_ATTEMPTED = "Passed: ", "Not attempted yet: "

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module", autouse=True)
def _our_turn() -> Iterator[None]:
    """Two runs of these tests on one machine take turns at the lecture's ports; whose turn it is has the port 26666."""

    with contextlib.ExitStack() as stack:

        def turn() -> bool:
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", 26666)))
                return True
            return False

        helpers.eventually(turn, timeout=100, what="our turn at the lecture's ports")
        yield


def _read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types here
    return notebook


def _setup(notebook: NotebookNode) -> NotebookNode:
    cells: list[NotebookNode] = notebook.cells
    return next(cell for cell in cells if cell.cell_type == "code")


def _run(notebook: NotebookNode, cells: Iterable[NotebookNode]) -> None:
    """Run the cells in one new kernel, in this order; a cell that raises fails the test with its error."""
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": NOTEBOOKS[0].parent}})
    with client.setup_kernel():
        for cell in cells:
            client.execute_cell(cell, notebook.cells.index(cell))


def _text(cell: NotebookNode) -> str:
    """What a cell printed and displayed, as plain text."""
    parts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", ()))
    return "".join(parts)


def _tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def _checked_exercise(cell: NotebookNode) -> tuple[str, str]:
    """Which ``lesson.<name>.check(…)`` ends the cell: the name, and the line."""
    last: str = cell.source.splitlines()[-1]
    found = re.fullmatch(r"lesson\.(\w+)\.check\(.+\)", last)
    assert found, f"the exercise cell {cell.id} has to end with its check, not with {last!r}"
    return found[1], last


@notebooks
def test_it_runs_top_to_bottom_twice_in_one_kernel(path: Path) -> None:
    notebook = _read(path)
    begun = time.monotonic()
    _run(notebook, [*notebook.cells, *notebook.cells])
    assert time.monotonic() - begun < 60
    for cell in _tagged(notebook, "exercise"):
        assert _text(cell).startswith(NOT_ATTEMPTED)


@notebooks
def test_every_cell_runs_twice_in_a_row(path: Path) -> None:
    notebook = _read(path)
    _run(notebook, [cell for cell in notebook.cells for _ in range(2)])


@notebooks
def test_solved_every_check_passes(path: Path) -> None:
    notebook = _read(path)
    solutions = {cell.source.split(".")[1]: cell for cell in _tagged(notebook, "solution")}
    exercises = _tagged(notebook, "exercise")
    _run(notebook, [_setup(notebook), *solutions.values()])
    for cell in exercises:
        name, check = _checked_exercise(cell)
        cell.source = f"{_text(solutions[name])}\n\n{check}"
    _run(notebook, [*notebook.cells, *notebook.cells])
    assert exercises
    for cell in exercises:
        assert _text(cell).startswith(PASSED), _text(cell)


@notebooks
def test_a_solution_is_tagged_and_stays_folded(path: Path) -> None:
    notebook = _read(path)
    solutions = _tagged(notebook, "solution")
    _run(notebook, [_setup(notebook), *solutions])
    for exercise, solution in zip(_tagged(notebook, "exercise"), solutions, strict=True):
        name, _ = _checked_exercise(exercise)
        assert solution.source == f"lesson.{name}.solution()"
        assert "<details><summary>" in solution.outputs[0].data["text/html"]


@notebooks
def test_the_repository_holds_no_output(path: Path) -> None:
    notebook = _read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    }
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_first_session_runs_where_the_lectures_ports_are_taken() -> None:
    notebook = _read(FIRST_SESSION)
    held = set()
    with contextlib.ExitStack() as stack:
        for endpoint in (stage.A, stage.B, stage.C):
            with contextlib.suppress(OSError):  # somebody else has it, or it is no address of this machine
                stack.enter_context(socket.create_server(tuple(endpoint)))
                held.add(endpoint)
        _run(notebook, [*notebook.cells, *notebook.cells])
    told = {cell.id: _text(cell) for cell in notebook.cells}
    if stage.A in held:
        assert f"A cannot listen on {stage.A}" in told["setup"]
    for endpoint, cell in ((stage.B, "connect-b"), (stage.C, "connect-c")):
        if endpoint in held:
            assert f"{endpoint} is in use" in told[cell]


def test_the_first_session_runs_where_loopback_is_one_address() -> None:
    notebook = _read(FIRST_SESSION)
    only = "from socklens.lessons import stage\nstage._is_local = lambda host: host == '127.0.0.1'"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(only))  # type: ignore[no-untyped-call]
    _run(notebook, [*notebook.cells, *notebook.cells])
    assert "has only 127.0.0.1" in _text(notebook.cells[2])
