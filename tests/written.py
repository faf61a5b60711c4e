"""What pages of documentation show, run as it stands there: the blocks of a page one after the other, in one namespace.

A block with ``>>>`` is compared with what it prints; numbers that differ each time may differ. One that imports pytest is a file of
tests, and they have to pass. Port 6666 stands for a free one.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import socklens as sl

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(
    r"^(?P<fence>`{3,})(?:python|\{code-cell\}[^\n]*)\n(?P<code>.*?)^(?P=fence)$", re.DOTALL | re.MULTILINE
)


def blocks(path: Path) -> list[str]:
    """The Python code of a page; the lines that tell Sphinx how to show a cell are left out."""
    text = path.read_text(encoding="utf-8")
    return [re.sub(r"\A(?::.*\n)+\n?", "", found["code"]) for found in BLOCK.finditer(text)]


def shape(output: str) -> str:
    """Output with the numbers that differ each time left out."""
    return re.sub(r"\d{4,}|, \d+\)", "N", output)


class Shapes(doctest.OutputChecker):
    """Compares shapes."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(shape(want), shape(got), optionflags)


def free_port() -> str:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


@contextlib.contextmanager
def cleaned_up(names: dict[str, Any]) -> Iterator[None]:
    """Closes and stops afterwards whatever a page has left open, as who reads it would at the end of a session."""
    timeout = sl.get_default_timeout()
    try:
        yield
    finally:
        sl.set_default_timeout(timeout)
        for thing in names.values():
            if isinstance(thing, (sl.Connection, sl.Listener, socket.socket)):
                thing.close()
            elif isinstance(thing, sl.Server):
                thing.stop()


def run(path: Path) -> dict[str, Any]:
    """Runs a page and returns the names that it has defined.

    Raises:
        AssertionError: something else is printed than the page says. Whatever its code raises besides.
    """
    names: dict[str, Any] = {"__name__": path.stem}
    port = free_port()
    with cleaned_up(names):
        for number, block in enumerate(blocks(path), 1):
            code = block.replace("6666", port)
            where = f"{path.name}, block {number}"
            if "import pytest\n" in code:
                _tests(code, where)
            elif ">>> " in code:
                _compare(code, names, where)
            else:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(code, where, "exec"), names)
    return names


def _compare(code: str, names: dict[str, Any], where: str) -> None:
    session = doctest.DocTestParser().get_doctest(code, {}, where, where, 0)
    session.globs = names
    told: list[str] = []
    runner = doctest.DocTestRunner(Shapes(), verbose=False, optionflags=doctest.ELLIPSIS)
    runner.run(session, out=told.append, clear_globs=False)
    assert not told, "".join(told)


def _tests(code: str, where: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "test_page.py")
        path.write_text(code, encoding="utf-8")
        # The plugin by its name, because the environment may have been made before it was there.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "socklens_pytest", "--rootdir", place, str(path)]
        env = os.environ | {"PYTHONPATH": str(ROOT / "python")}
        done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{where}:\n{done.stdout}{done.stderr}"
