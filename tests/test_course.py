"""`socklens course` hands out the notebooks, keeps what a student has changed, and in exam mode tells no solution."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import lacking
from program import SOCKLENS
from socklens.lessons import Exercise, copies
from socklens.lessons.copies import Copy, Fate, copy_course
from socklens.lessons.exam import VARIABLE, exam_copy

NOTEBOOKS = {
    path.name: path.read_bytes() for path in sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
}
FIRST = next(iter(NOTEBOOKS))
NEWER = FIRST.replace(".ipynb", ".new.ipynb")


def run(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """`socklens course` as it is typed."""
    kept = {name: value for name, value in os.environ.items() if name != "JUPYTERHUB_SERVICE_PREFIX"}
    command = [*SOCKLENS, "course", *arguments]
    return subprocess.run(command, cwd=cwd, env=kept | env, capture_output=True, text=True, timeout=60, check=False)


def fates(copied: copies.Course) -> set[Fate]:
    return {copy.fate for copy in copied.copies}


def fate_of(name: str, copied: copies.Course) -> Copy:
    return next(copy for copy in copied.copies if copy.name == name)


def publish(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """From now on the installed first notebook is this one."""
    monkeypatch.setattr(copies, "notebooks", lambda: NOTEBOOKS | {FIRST: content})


# ── copies ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_copies_are_the_notebooks(tmp_path: Path) -> None:
    copied = copy_course(tmp_path / "a" / "b")
    assert [copy.name for copy in copied.copies] == list(NOTEBOOKS)
    assert fates(copied) == {Fate.COPIED}
    assert {name: (copied.folder / name).read_bytes() for name in NOTEBOOKS} == NOTEBOOKS
    assert not list(copied.folder.glob("*.part"))


def test_a_second_call_writes_nothing(tmp_path: Path) -> None:
    copy_course(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.ipynb")}
    assert fates(copy_course(tmp_path)) == {Fate.THERE}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.ipynb")} == times


def test_what_a_student_changed_is_kept(tmp_path: Path) -> None:
    copy_course(tmp_path)
    (tmp_path / FIRST).write_bytes(b"my own work")
    assert fate_of(FIRST, copy_course(tmp_path)) == Copy(FIRST, Fate.KEPT)
    assert (tmp_path / FIRST).read_bytes() == b"my own work"
    assert not (tmp_path / NEWER).exists()  # there is no newer one


def test_a_newer_notebook_replaces_an_unchanged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_course(tmp_path)
    publish(monkeypatch, b"second edition")
    assert fate_of(FIRST, copy_course(tmp_path)) == Copy(FIRST, Fate.UPDATED)
    assert (tmp_path / FIRST).read_bytes() == b"second edition"


def test_a_newer_notebook_lies_beside_a_changed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_course(tmp_path)
    (tmp_path / FIRST).write_bytes(b"my own work")
    publish(monkeypatch, b"second edition")
    for _ in range(2):
        assert fate_of(FIRST, copy_course(tmp_path)) == Copy(FIRST, Fate.BESIDE, NEWER)
    (tmp_path / NEWER).write_bytes(b"my second work")
    assert fate_of(FIRST, copy_course(tmp_path)) == Copy(FIRST, Fate.BESIDE, NEWER)
    publish(monkeypatch, b"third edition")
    third = NEWER.replace(".new.", ".new2.")
    assert fate_of(FIRST, copy_course(tmp_path)) == Copy(FIRST, Fate.BESIDE, third)
    kept = [(tmp_path / name).read_bytes() for name in (FIRST, NEWER, third)]
    assert kept == [b"my own work", b"my second work", b"third edition"]


def test_a_file_that_was_there_before_is_somebodys(tmp_path: Path) -> None:
    (tmp_path / FIRST).write_bytes(b"older than the course")
    assert fate_of(FIRST, copy_course(tmp_path)) == Copy(FIRST, Fate.BESIDE, NEWER)
    assert (tmp_path / FIRST).read_bytes() == b"older than the course"
    assert (tmp_path / NEWER).read_bytes() == NOTEBOOKS[FIRST]


@pytest.mark.parametrize("record", ["", "[]", '{"student": false}', '{"student": false, "written": 1}'])
def test_a_record_that_somebody_edited_costs_no_work(
    record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_course(tmp_path)
    (tmp_path / copies.RECORD).write_text(record)
    publish(monkeypatch, b"second edition")
    assert fate_of(FIRST, copy_course(tmp_path)) == Copy(FIRST, Fate.BESIDE, NEWER)
    assert (tmp_path / FIRST).read_bytes() == NOTEBOOKS[FIRST]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_course(tmp_path)
    publish(monkeypatch, b"second edition")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        copy_course(tmp_path)
    assert (tmp_path / FIRST).read_bytes() == NOTEBOOKS[FIRST]
    assert not list(tmp_path.glob("*.part"))


def test_the_notebooks_themselves_are_no_place_for_a_copy() -> None:
    with pytest.raises(ValueError, match="where the notebooks themselves lie"):
        copy_course(Path(__file__).parent.parent / "notebooks")


def test_a_build_without_notebooks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_PACKAGED", tmp_path / "none")
    monkeypatch.setattr(copies, "_CLONED", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="not in this installation"):
        copies.notebooks()


# ── exam mode ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_an_exam_copy_tells_nothing(name: str) -> None:
    before, after = json.loads(NOTEBOOKS[name]), json.loads(exam_copy(NOTEBOOKS[name]))
    text = "\n".join("".join(cell["source"]) for cell in after["cells"])
    assert not re.search(r"\.(hint|solution)\(|Stuck", text), text
    assert all("solution" not in cell["metadata"].get("tags", ()) for cell in after["cells"])
    solutions = sum("solution" in cell["metadata"].get("tags", ()) for cell in before["cells"])
    assert len(after["cells"]) == len(before["cells"]) - solutions + 1
    first = next(cell for cell in after["cells"] if cell["cell_type"] == "code")
    assert first["id"] == "exam"
    untold = {cell["id"]: cell["source"] for cell in before["cells"] if cell["cell_type"] == "code"}
    assert all(cell["source"] == untold[cell["id"]] for cell in after["cells"] if cell["id"] in untold)


def test_an_exam_copy_has_no_outputs() -> None:
    notebook = json.loads(NOTEBOOKS[FIRST])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "42"}]
            cell["execution_count"] = 7
    bare = json.loads(exam_copy(json.dumps(notebook).encode()))
    code = [cell for cell in bare["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_a_lesson_tells_nothing_in_exam_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    exercise = Exercise("x", expects=("x",), hint="a secret", solution="x = 'a secret'", judge=lambda _: "right")
    exam = json.loads(exam_copy(NOTEBOOKS[FIRST]))
    monkeypatch.delenv(VARIABLE, raising=False)
    assert "a secret" in repr(exercise.hint())
    assert "a secret" in repr(exercise.solution())
    assert "hint()" in exercise.check(...).reason
    monkeypatch.setenv(VARIABLE, "")  # so that the cell's own setting is taken back
    exec("".join(next(cell for cell in exam["cells"] if cell["id"] == "exam")["source"]), {})
    for told in (exercise.hint(), exercise.solution(), exercise.check(...)):
        assert "secret" not in repr(told) + told._repr_html_()
        assert "hint()" not in repr(told)
    assert "none in exam mode" in repr(exercise.hint())
    assert exercise.solution().code.startswith("#")
    assert exercise.check(1)


def test_a_folder_keeps_its_kind(tmp_path: Path) -> None:
    copy_course(tmp_path / "open")
    with pytest.raises(ValueError, match="with its solutions"):
        copy_course(tmp_path / "open", student=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / FIRST).write_bytes(b"with solutions, perhaps")
    with pytest.raises(ValueError, match="has notebooks already"):
        copy_course(tmp_path / "mine", student=True)
    copy_course(tmp_path / "exam", student=True)
    again = copy_course(tmp_path / "exam")
    assert again.student
    assert fates(again) == {Fate.THERE}


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def lab(tmp_path: Path) -> dict[str, str]:
    """An environment whose JupyterLab prints what it was given, and ends."""
    fake = tmp_path / "fake" / "jupyterlab"
    fake.mkdir(parents=True)
    (fake / "__init__.py").touch()
    (fake / "__main__.py").write_text("import sys\nprint('lab', *sys.argv[1:])\nsys.exit(7)\n")
    path = os.pathsep.join(filter(None, [str(fake.parent), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path}


def test_it_copies_and_opens(tmp_path: Path, lab: dict[str, str]) -> None:
    for said in (f"{len(NOTEBOOKS)} copied", f"{len(NOTEBOOKS)} there already"):
        done = run(cwd=tmp_path, **lab)
        assert f"socklens-course has the course, {len(NOTEBOOKS)} notebooks: {said}\n" in done.stdout
        assert done.stdout.endswith("lab socklens-course\n")
        assert done.returncode == 7  # JupyterLab's own
        assert done.stderr == ""
    assert (tmp_path / "socklens-course" / FIRST).read_bytes() == NOTEBOOKS[FIRST]


def test_it_only_copies_if_told_so_and_says_what_was_kept(tmp_path: Path, lab: dict[str, str]) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / FIRST).write_bytes(b"mine")
    done = run("here", "--no-open", cwd=tmp_path, **lab)
    assert done.stdout.splitlines() == [
        f"here has the course, {len(NOTEBOOKS)} notebooks: {len(NOTEBOOKS) - 1} copied, 1 there already",
        f"{FIRST} has your changes and is kept; the newer one is {NEWER}",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_in_a_hub_it_starts_no_second_jupyterlab(tmp_path: Path, lab: dict[str, str]) -> None:
    done = run(cwd=tmp_path, JUPYTERHUB_SERVICE_PREFIX="/user/ana/", **lab)
    assert "open socklens-course in its file browser" in done.stdout
    assert done.returncode == 0


def test_an_exam_copy_is_called_one(tmp_path: Path) -> None:
    done = run("exam", "--student", "--no-open", cwd=tmp_path)
    assert f"exam has an exam copy of the course, {len(NOTEBOOKS)} notebooks" in done.stdout
    assert (tmp_path / "exam" / FIRST).read_bytes() == exam_copy(NOTEBOOKS[FIRST])


def test_without_jupyterlab_it_says_how_to_install_it(tmp_path: Path) -> None:
    hidden = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'jupyterlab' else find(name, *more)\n"
        "from socklens.cli import main; sys.exit(main(['course']))"
    )
    command = [sys.executable, "-c", hidden]
    env = {name: value for name, value in os.environ.items() if name != "JUPYTERHUB_SERVICE_PREFIX"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert 'pip install "socklens[notebook]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "socklens-course" / FIRST).exists()


@pytest.mark.parametrize(("folder", "why"), [("file", "Not a directory"), ("file/x", "Not a directory")])
def test_a_folder_that_cannot_be_is_named(folder: str, why: str, tmp_path: Path) -> None:
    if sys.platform == "win32":
        lacking("other words for it")
    (tmp_path / "file").touch()
    done = run(folder, "--no-open", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"socklens: cannot copy the course to {folder}: {why}\n"
