"""Copies of the course's notebooks in a folder of the student's. What a student has changed is never written to; nothing is opened
here, and nothing is printed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from .exam import exam_copy

RECORD = ".socklens-course.json"
"""The file in a copy that says what was written there, and whether it is an exam copy."""

_PACKAGED = Path(__file__).parent / "notebooks"  # in a wheel a folder, in a clone a link to the next one
_CLONED = Path(__file__).parents[3] / "notebooks"


class Fate(Enum):
    """What became of one notebook."""

    COPIED = "copied"
    UPDATED = "updated"
    THERE = "there"
    KEPT = "kept"
    BESIDE = "beside"


@dataclass(frozen=True)
class Copy:
    """One notebook of a copy: the name of the file that was looked at, its fate, and where the newer one is if it lies beside."""

    name: str
    fate: Fate
    beside: str = ""


@dataclass(frozen=True)
class Course:
    """A copy of the course: where it is, whether it is an exam copy, and what became of each notebook."""

    folder: Path
    student: bool
    copies: tuple[Copy, ...]


@dataclass
class _Record:
    """What was written when: for each file the digest of its content, to know later whether somebody has changed it."""

    student: bool
    written: dict[str, str] = field(default_factory=dict)


def notebooks() -> dict[str, bytes]:
    """The notebooks of the course as they were installed, by name, in their order.

    Raises:
        FileNotFoundError: this build of socklens came without them.
    """
    for folder in (_PACKAGED, _CLONED):
        found = sorted(folder.glob("*.ipynb")) if folder.is_dir() else []
        if found:
            return {path.name: path.read_bytes() for path in found}
    raise FileNotFoundError(f"the notebooks of the course are not in this installation: {_PACKAGED} is missing")


def copy_course(folder: Path, *, student: bool = False) -> Course:
    """Copy the course to a folder, which is made if it is not there.

    A notebook that was copied before and not changed since is replaced by a newer one. One that was changed stays, and a newer one
    is written beside it. A folder keeps its kind: an exam copy stays one.

    Args:
        student: exam mode: the notebooks as :func:`~socklens.lessons.exam.exam_copy` gives them.

    Raises:
        ValueError: the folder is where the notebooks are installed, or holds a copy with solutions and ``student`` is asked for.
        OSError: the folder or a file in it cannot be written.
    """
    if any(source.is_dir() and folder.is_dir() and folder.samefile(source) for source in (_PACKAGED, _CLONED)):
        raise ValueError(f"{folder} is where the notebooks themselves lie; give another folder for the copy")
    record = _read(folder)
    if student and record is not None and not record.student:
        raise ValueError(f"{folder} has a copy of the course with its solutions; give another folder for the exam copy")
    if student and record is None and any(folder.glob("*.ipynb")):
        raise ValueError(f"{folder} has notebooks already; give another folder for the exam copy")
    record = record or _Record(student)
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for name, content in notebooks().items():
        copies.append(_place(folder, name, exam_copy(content) if record.student else content, record))
        _write(folder / RECORD, json.dumps(vars(record), indent=1).encode() + b"\n")  # each time: the next may fail
    return Course(folder, record.student, tuple(copies))


def _place(folder: Path, name: str, content: bytes, record: _Record) -> Copy:
    """Puts one notebook where it belongs, without touching what the student wrote."""
    digest = _digest(content)
    for at in _names(name):
        there = _digest_of(folder / at)
        ours = record.written.get(at)
        if there is not None and there != digest and there != ours:  # the student's
            if ours == digest:  # this very notebook, with what the student made of it
                return Copy(name, Fate.KEPT) if at == name else Copy(name, Fate.BESIDE, at)
            continue
        if there != digest:
            _write(folder / at, content)
        record.written[at] = digest
        if at != name:
            return Copy(name, Fate.BESIDE, at)
        return Copy(name, Fate.THERE if there == digest else Fate.COPIED if there is None else Fate.UPDATED)
    raise AssertionError("the names never end")


def _names(name: str) -> Iterator[str]:
    """Where it may lie: under its own name, or beside a changed one as .new, .new2, …"""
    stem = name.removesuffix(".ipynb")
    yield name
    number = 1
    while True:
        yield f"{stem}.new{number if number > 1 else ''}.ipynb"
        number += 1


def _read(folder: Path) -> _Record | None:
    try:
        kept = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return _Record(kept["student"] is True, {str(name): str(digest) for name, digest in kept["written"].items()})
    except FileNotFoundError:
        return None
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ):  # somebody has edited it: then everything there is the student's
        return None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a full disk leaves what was there."""
    new = path.with_name(f"{path.name}.part")
    try:
        new.write_bytes(content)
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _digest_of(path: Path) -> str | None:
    try:
        return _digest(path.read_bytes())
    except FileNotFoundError:
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
