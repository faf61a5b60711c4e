"""Brings the notebooks into the pages, in their order, and keeps out of the way of who else plays with the lecture's ports."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
NOTEBOOKS = HERE.parent / "notebooks"
TURN = ("127.0.0.1", 26666)  # who has it may use the lecture's ports; tests/test_notebooks.py asks for it as well
PATIENCE = 300.0  # seconds


def bring(app: Any) -> None:
    """Copies `notebooks/` to where Sphinx looks, and removes the copy of one that is gone."""
    target = Path(app.srcdir) / "course"
    wanted = {path.name: path for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    for stale in target.glob("*.ipynb"):
        if stale.name not in wanted:
            stale.unlink()
    for name, path in wanted.items():
        copy = target / name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


def take_a_turn(app: Any) -> None:
    """Waits until nobody else runs the notebooks on this machine. The turn ends with the build."""
    app.turn = socket.socket()
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            app.turn.bind(TURN)
            app.turn.listen()
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"another run of the notebooks has had the lecture's ports for {PATIENCE:.0f} seconds")
        time.sleep(0.2)


def end_the_turn(app: Any, _failure: Exception | None) -> None:
    """Lets the next one in."""
    app.turn.close()


def setup(app: Any) -> dict[str, bool]:
    """Tells Sphinx."""
    logging.getLogger("traitlets").setLevel(logging.ERROR)  # a line for each notebook that begins
    app.connect("builder-inited", bring)
    app.connect("builder-inited", take_a_turn)
    app.connect("build-finished", end_the_turn)
    return {"parallel_read_safe": False}
