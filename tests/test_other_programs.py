"""The promise: a program that has a port is called by its script, or as a notebook's kernel, and how to end it is said in a way that can be
followed.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import socklens as sl
from explaining import explained, seen
from program import Program
from socklens import _programs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's table of holders is read")

LISTENS = "import socket, sys\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\nsys.stdin.read()\n"


@pytest.mark.parametrize(
    ("name", "called", "ending"),
    [
        ("other.py", "`other.py` (", "End it, for example with: kill {pid}; or choose another port"),
        ("ipykernel_launcher.py", "notebook's kernel (", "Shut that kernel down in JupyterLab; or choose another port"),
    ],
)
def test_who_has_the_port_and_how_to_end_it(tmp_path: Path, name: str, called: str, ending: str) -> None:
    (tmp_path / name).write_text(LISTENS)
    with Program(sys.executable, str(tmp_path / name)) as other:
        port = int(other.wait_for(r"(\d+)\n", stdout=True)[1])
        found = explained(OSError, sl.listen, "127.0.0.1", port)
        (pid,) = re.findall(r"process (\d+)\) listens on", found.error)
        assert int(pid) != os.getpid()
        for said in (found.error, seen(found)):
            assert re.search(rf"{re.escape(called)}\w[\w.]*, process {pid}\) listens on 127\.0\.0\.1:{port}", said)
        for said in (found.error, found.next_step):
            assert ending.format(pid=pid) in said


@pytest.mark.parametrize(
    ("words", "script"),
    [
        (["python3", "other.py", "-m", "x"], "other.py"),
        (["/usr/bin/python3.12", "-u", "-X", "dev", "-W", "error", "/home/ann/other.py"], "other.py"),
        (["python", "-m", "http.server", "8000"], "python -m http.server"),
        (["python", "-c", "import other", "x.py"], None),
        (["python"], None),
        (["python", "-"], None),
        (["nginx", "-g", "x"], None),
        ([], None),
    ],
)
def test_the_script_of_a_command_line(words: list[str], script: str | None) -> None:
    assert _programs._script(words) == script


def test_a_kernel_by_its_command_line() -> None:
    assert _programs._is_kernel(["python3", "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "kernel-1.json"])
    assert not _programs._is_kernel(["python3", "other.py"])


def test_nobody_is_told_to_end_what_has_started_this_program() -> None:
    assert "kill" not in _programs.ending(os.getppid())


def test_a_process_that_has_ended_has_no_script() -> None:
    with Program(sys.executable, "-c", "") as other:
        pid = other._process.pid
        other.end_input()
        other._process.wait(20)
    assert _programs.called(pid, "python3") == f"python3 (process {pid})"
