"""The promise: the checks grade. In a plain assert, in pytest, by nbgrader's autograder and by Otter, the instructor's solution passes, and
each of six broken submissions fails for the one reason that is its own.

Both graders are run as an instructor runs them, in an environment of their own (``make .venv/with-grading``): they bring JupyterLab
extensions, which the project's environment shall not have.
"""

from __future__ import annotations

import csv
import json
import linecache
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import helpers
import nbformat
import pytest
import socklens as sl
from grading import assignment
from nbformat import NotebookNode
from socklens.check import Mistake

pytest_plugins = "pytester"

ROOT = Path(__file__).parent.parent
ANSWERS = assignment.answers()
MISTAKES = {
    "accepts_once": Mistake.ACCEPTS_ONCE,
    "ignores_what_send_returns": Mistake.SEND_IGNORED,
    "listens_elsewhere": Mistake.WRONG_ADDRESS,
    "never_closes": Mistake.NEVER_CLOSES,
    "one_recv_is_a_line": Mistake.RECV_IS_A_MESSAGE,
    "splits_a_character": Mistake.SPLITS_CHARACTERS,
}
"""Why each broken submission fails."""

POINTS = dict.fromkeys(MISTAKES, assignment.VISIBLE_POINTS) | {"solved": 10, "listens_elsewhere": 0}
"""What students see is passed by all who listen where they were told."""

Graded = tuple[float, str]
"""A submission's points, and what the grader says about it."""

LIMIT = 110.0  # seconds for one command of a grader

submissions = pytest.mark.parametrize("name", ANSWERS)


def test_there_is_a_solution_and_six_submissions_that_are_broken_in_ways_of_their_own() -> None:
    assert set(ANSWERS) == {"solved", *MISTAKES}
    assert len(set(MISTAKES.values())) == 6


# Plain assert and pytest


@submissions
def test_a_plain_assert_passes_or_says_why(name: str) -> None:
    serve = _answer(name)
    if name == "solved":
        assert sl.check.line_server(serve)
        return
    with pytest.raises(AssertionError) as failed:
        _assert(sl.check.line_server(serve))
    assert _names(MISTAKES[name], str(failed.value))


def test_in_pytest_the_reason_stands_in_the_report(pytester: pytest.Pytester) -> None:
    for name in ("solved", "listens_elsewhere"):
        pytester.makepyfile(**{name: ANSWERS[name]})
    pytester.makepyfile("""
        import pytest, socklens as sl
        import listens_elsewhere, solved

        def test_passes():
            assert sl.check.line_server(solved.serve)

        def test_fails():
            assert sl.check.line_server(listens_elsewhere.serve)

        def test_fails_in_a_sentence():
            result = sl.check.line_server(listens_elsewhere.serve)
            assert result, result.reason
    """)
    result = pytester.runpytest_subprocess("-p", "socklens_pytest")
    result.assert_outcomes(passed=1, failed=2)
    told = "It was told to listen on 127.0.0.1:*, and listens on 127.0.0.101:*"
    result.stdout.fnmatch_lines(["E *assert failed: line server `serve`*", f"E *AssertionError: {told}"])


# The two graders


class Graders:
    """Both graders at work, at the same time: each waits a good deal, for the kernels that it starts and for the checks.

    nbgrader grades all students with one command, Otter each submission with one: a test waits for its own.
    """

    def __init__(self, pool: ThreadPoolExecutor, course: Path) -> None:
        self.nbgrader = pool.submit(_graded_by_nbgrader, course / "nbgrader")
        assigned = pool.submit(_assigned_by_otter, course / "otter")
        self.otter = {name: pool.submit(_graded_by_otter, course / "otter", name, assigned) for name in ANSWERS}


@pytest.fixture(scope="module")
def graders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graders]:
    """At work from the first test on that asks for them."""
    for program in ("nbgrader", "otter"):
        if _found(program) is None:
            helpers.lacking(f"{program} is not installed: make .venv/with-grading, or pip install 'socklens[grading]'")
    # One of the two is nbgrader's, so that what Otter has to assign never waits behind what it has to grade.
    with ThreadPoolExecutor(2) as pool:
        yield Graders(pool, tmp_path_factory.mktemp("course"))


@submissions
def test_otter_gives_its_points_and_the_reason(name: str, graders: Graders) -> None:
    _judged(name, *graders.otter[name].result())


@submissions
def test_nbgrader_gives_its_points_and_the_reason(name: str, graders: Graders) -> None:
    _judged(name, *graders.nbgrader.result()[name])


def _judged(name: str, points: float, told: str) -> None:
    named = [mistake for mistake in Mistake if _names(mistake, told)]
    assert named == ([] if name == "solved" else [MISTAKES[name]]), told
    assert points == POINTS[name], told


def _graded_by_nbgrader(course: Path) -> dict[str, Graded]:
    """source → release → submitted → autograded, with a student for each submission."""
    _write(course / "source/ps1/lines.ipynb", assignment.for_nbgrader())
    shutil.copy(assignment.HERE / "nbgrader_config.py", course)
    _run(course, "nbgrader", "generate_assignment", "ps1")
    released = _read(course / "release/ps1/lines.ipynb")
    _keeps_to_itself(released)
    for name, answer in ANSWERS.items():
        _write(course / f"submitted/{name}/ps1/lines.ipynb", assignment.handed_in(released, answer))
    _run(course, "nbgrader", "autograde", "ps1")
    _run(course, "nbgrader", "export")
    with (course / "grades.csv").open(encoding="utf-8", newline="") as file:
        points = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    return {name: (points[name], _outputs(course / f"autograded/{name}/ps1/lines.ipynb")) for name in ANSWERS}


def _assigned_by_otter(course: Path) -> NotebookNode:
    """master → the students' notebook, and the autograder; Otter also grades the solution then, and fails if it does not pass."""
    _write(course / "lines.ipynb", assignment.for_otter())
    _run(course, "otter", "assign", "lines.ipynb", "dist")
    released = _read(course / "dist/student/lines.ipynb")
    _keeps_to_itself(released)
    return released


def _graded_by_otter(course: Path, name: str, assigned: Future[NotebookNode]) -> Graded:
    """A submission → its results."""
    released = assigned.result()
    [autograder] = (course / "dist/autograder").glob("*.zip")
    _write(course / name / "lines.ipynb", assignment.handed_in(released, ANSWERS[name]))
    _run(course, "otter", "run", "--no-logo", "-a", str(autograder), "-o", name, f"{name}/lines.ipynb")
    results = json.loads((course / name / "results.json").read_text(encoding="utf-8"))["tests"]
    return sum(test.get("score", 0) for test in results), "\n".join(test["output"] for test in results)


def _keeps_to_itself(released: NotebookNode) -> None:
    """Students see neither the solution nor the hidden test."""
    text = json.dumps(released)  # Otter keeps the tests that students see in the notebook's metadata
    assert "def serve(host, port):" in text
    assert "a first client" in text
    assert "create_server" not in text
    assert "line_server" not in text


def _run(course: Path, *command: str) -> None:
    """One command of a grader, with nobody's settings."""
    found = _found(command[0])
    assert found is not None
    own = {f"JUPYTER_{kind}_DIR": str(course / f".jupyter/{kind.lower()}") for kind in ("CONFIG", "DATA", "RUNTIME")}
    env = {
        **os.environ,
        **own,
        "IPYTHONDIR": str(course / ".ipython"),
        # Its own programs first, as in an environment that is activated: nbgrader calls alembic.
        "PATH": f"{found.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "python"),
    }
    done = subprocess.run(
        [found, *command[1:]],
        cwd=course,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}"


def _found(program: str) -> Path | None:
    """In the environment that the Makefile makes beside this one, or wherever the shell finds it."""
    places = os.pathsep.join([str(Path(sys.prefix, "grading", "bin")), os.environ["PATH"]])
    found = shutil.which(program, path=places)
    return None if found is None else Path(found)


def _answer(name: str) -> Callable[..., object]:
    """The student's function, as a notebook's cell defines it."""
    file = f"<the cell of {name}>"
    linecache.cache[file] = (len(ANSWERS[name]), None, ANSWERS[name].splitlines(keepends=True), file)
    namespace: dict[str, Any] = {}
    exec(compile(ANSWERS[name], file, "exec"), namespace)
    serve: Callable[..., object] = namespace["serve"]
    return serve


def _assert(result: sl.check.Result) -> None:
    # As an assert outside of pytest does it, which shows the message alone.
    if not result:
        raise AssertionError(result)


def _names(mistake: Mistake, text: str) -> bool:
    """Whether the text has the mistake's words; they may go over several lines, and each may begin with pytest's E."""
    words = re.sub(r"\s+(E\s+)?", " ", text)
    return f" mistake {mistake.value} " in f"{words} "


def _outputs(path: Path) -> str:
    """What the cells of a notebook printed and raised, without colours."""
    outputs = [output for cell in _read(path).cells for output in cell.get("outputs", ())]
    text = "\n".join(
        f"{output.get('text', '')}{output.get('ename', '')}: {output.get('evalue', '')}" for output in outputs
    )
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def _read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types here
    return notebook


def _write(path: Path, notebook: NotebookNode) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
