"""Every notebook of the course, run in a real kernel: as it is, a second time, in any order and then again as it is; and solved, each
cell twice in a row. The repository holds no output.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import random
import re
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import helpers
import nbformat
import pytest
import socklens as sl
from nbclient import NotebookClient
from nbformat import NotebookNode
from socklens.lessons import Prediction, stage

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
FIRST_SESSION = NOTEBOOKS[0]
PASSED, NOT_ATTEMPTED = "Passed: ", "Not attempted yet: "

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def _our_turn() -> Iterator[None]:
    """Two runs of these tests on one machine take turns at the lecture's ports, test by test; whose turn it is has the port 26666."""

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


@contextlib.contextmanager
def _kernel(notebook: NotebookNode) -> Iterator[NotebookClient]:
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": NOTEBOOKS[0].parent}})
    with client.setup_kernel():
        yield client


def _run(client: NotebookClient, cells: Iterable[NotebookNode]) -> None:
    """Run the cells in this order; a cell that raises fails the test with its error, unless the client allows errors."""
    for cell in cells:
        client.execute_cell(cell, client.nb.cells.index(cell))


def _hidden(client: NotebookClient, source: str) -> None:
    """Run code that is no cell of the notebook."""
    client.nb.cells.append(nbformat.v4.new_code_cell(source))  # type: ignore[no-untyped-call]
    _run(client, client.nb.cells[-1:])
    client.nb.cells.pop()


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def live(request: pytest.FixtureRequest) -> Iterator[NotebookClient]:
    """The notebook as it is, with a kernel that its tests share, one after the other: each holds in a kernel that was used before."""
    with _kernel(_read(request.param)) as client:
        yield client


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


def test_it_runs_top_to_bottom_twice_in_one_kernel(live: NotebookClient) -> None:
    begun = time.monotonic()
    _run(live, [*live.nb.cells, *live.nb.cells])
    assert time.monotonic() - begun < 60
    for cell in _tagged(live.nb, "exercise"):
        assert _text(cell).startswith(NOT_ATTEMPTED)


def test_a_solution_is_tagged_and_stays_folded(live: NotebookClient) -> None:
    solutions = _tagged(live.nb, "solution")
    _run(live, [_setup(live.nb), *solutions])
    for exercise, solution in zip(_tagged(live.nb, "exercise"), solutions, strict=True):
        name, _ = _checked_exercise(exercise)
        assert solution.source == f"lesson.{name}.solution()"
        assert "<details><summary>" in solution.outputs[0].data["text/html"]


def test_cells_in_any_order_do_not_wedge_the_kernel(live: NotebookClient) -> None:
    _hidden(live, _IMPATIENT)
    cells = live.nb.cells
    live.allow_errors, live.timeout = True, 30  # a cell that hangs is no error of the cell
    for order in (cells[::-1], random.Random(6666).sample(cells, len(cells))):
        _run(live, order)
        raised = {output.ename for cell in order for output in cell.get("outputs", ()) if output.output_type == "error"}
        assert raised <= _ORDINARY
    live.allow_errors, live.timeout = False, 60
    _hidden(live, _PATIENT)
    _run(live, cells)
    for cell in _tagged(live.nb, "exercise"):
        assert _text(cell).startswith(NOT_ATTEMPTED)


# The notebooks bound every wait by five seconds. In a wrong order many cells wait for what never comes; here for half a second.
_IMPATIENT = """
import socklens as sl
set_default_timeout = sl.set_default_timeout
sl.set_default_timeout = lambda seconds: set_default_timeout(0.5)
sl.set_default_timeout(5)
"""
_PATIENT = "sl.set_default_timeout = set_default_timeout"
_ORDINARY = {
    name
    for names in (vars(builtins), {name: getattr(sl, name) for name in sl.__all__})
    for name, value in names.items()
    if isinstance(value, type) and issubclass(value, Exception)
}


@notebooks
def test_solved_every_check_passes_and_every_cell_runs_twice_in_a_row(path: Path) -> None:
    notebook = _read(path)
    lesson = _lesson(notebook)
    exercises = _tagged(notebook, "exercise")
    for cell in exercises:
        name, check = _checked_exercise(cell)
        cell.source = f"{getattr(lesson, name).solution().code}\n\n{check}"
    for cell in _tagged(notebook, "predict"):
        cell.source = cell.source.replace("(...)", '("a")')
    with _kernel(notebook) as client:
        _run(client, [cell for cell in notebook.cells for _ in range(2)])
        _run(client, notebook.cells)
    assert exercises
    for cell in exercises:
        assert _text(cell).startswith(PASSED), _text(cell)
    for cell in _comparisons(notebook).values():
        assert re.search("(As you predicted|A surprise): Seen: ", _text(cell)), _text(cell)


@notebooks
def test_a_prediction_is_asked_before_and_compared_after(path: Path) -> None:
    notebook = _read(path)
    asked = {cell.source: cell for cell in _tagged(notebook, "predict")}
    compared = _comparisons(notebook)
    assert asked.keys() == {f"lesson.{name}.predict(...)" for name in compared}
    for name, cell in compared.items():
        assert isinstance(getattr(_lesson(notebook), name), Prediction)
        assert notebook.cells.index(asked[f"lesson.{name}.predict(...)"]) < notebook.cells.index(cell)


def _comparisons(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """The cells that end with ``lesson.<name>.compare(…)``, by this name."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = {cell.id: re.search(r"^lesson\.(\w+)\.compare\(.*\)\Z", cell.source, re.MULTILINE) for cell in code}
    return {match[1]: cell for cell in code if (match := found[cell.id])}


def _lesson(notebook: NotebookNode) -> ModuleType:
    """The module that the notebook imports as ``lesson``."""
    found = re.search(r"^from socklens\.lessons import (\w+) as lesson$", _setup(notebook).source, re.MULTILINE)
    assert found
    return importlib.import_module(f"socklens.lessons.{found[1]}")


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
        with _kernel(notebook) as client:
            _run(client, [*notebook.cells, *notebook.cells])
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
    with _kernel(notebook) as client:
        _run(client, [*notebook.cells, *notebook.cells])
    assert "has only 127.0.0.1" in _text(notebook.cells[2])
