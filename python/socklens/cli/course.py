"""`socklens course`: copies the notebooks of the course, says what became of each, and opens JupyterLab on them. What is written
and what is kept is decided in `lessons.copies`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..display.screen import Screen
from ..lessons.copies import Course, Fate, copy_course

FOLDER = "socklens-course"
"""Where the copy lies if nothing else is said: in the current folder."""

_INSTALL = 'pip install "socklens[notebook]"'


def course(screen: Screen, folder: str | None, *, student: bool = False, opens: bool = True) -> int:
    """Copies, tells and opens; returns the exit status, or does not return where JupyterLab takes this process over.

    Raises:
        ValueError: the folder is no place for this copy.
        OSError: it cannot be written; or the installation has no notebooks.
    """
    path = Path(folder or FOLDER).expanduser()
    try:
        copied = copy_course(path, student=student)
    except OSError as error:
        if error.filename is None:
            raise
        raise OSError(error.errno, f"cannot copy the course to {path}: {error.strerror}") from error
    for line in _told(copied):
        screen.write(line + "\n")
    if not opens:
        return 0
    if "JUPYTERHUB_SERVICE_PREFIX" in os.environ:
        screen.write(f"This is a JupyterHub, and JupyterLab runs already: open {path} in its file browser.\n")
        return 0
    if importlib.util.find_spec("jupyterlab") is None:
        raise ModuleNotFoundError(
            f"the notebooks are there, but JupyterLab is not installed for this Python. Install it with {_INSTALL} and call "
            f"{screen.code('socklens course')} again, or open the folder in an editor that runs notebooks"
        )
    screen.write(screen.dim(f"opening JupyterLab on {path}; Ctrl-C here ends it") + "\n")
    return _become([sys.executable, "-m", "jupyterlab", str(path)])


def _told(course: Course) -> Iterator[str]:
    """What a person has to know: one line for the whole, and one for each changed notebook that has a newer one."""
    counts = Counter(copy.fate for copy in course.copies)
    there = counts[Fate.THERE] + counts[Fate.KEPT] + counts[Fate.BESIDE]
    said = [(counts[Fate.COPIED], "copied"), (counts[Fate.UPDATED], "replaced by newer ones"), (there, "there already")]
    kind = "an exam copy of the course" if course.student else "the course"
    numbers = ", ".join(f"{count} {what}" for count, what in said if count)
    yield f"{course.folder} has {kind}, {len(course.copies)} notebooks: {numbers}"
    for copy in course.copies:
        if copy.fate is Fate.BESIDE:
            yield f"{copy.name} has your changes and is kept; the newer one is {copy.beside}"


def _become(command: list[str]) -> int:
    """Runs the command in place of this process, so that Ctrl-C and the exit status are its own."""
    if os.name == "posix":
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        with suppress(KeyboardInterrupt):  # JupyterLab has had it too, and asks whether it is meant
            return process.wait()
