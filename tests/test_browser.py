"""The promise: in JupyterLab what is watched moves, while the kernel is idle and while a cell waits, and that cell can be stopped.
Screenshots are kept in build/screenshots. For where Chromium is at hand; CI installs it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helpers
import nbformat
import pytest
from nbformat import v4

SHOTS = Path(__file__).parent.parent / "build" / "screenshots"
LISTEN = """import socklens as sl
listener = sl.listen(port={port}, recv_buffer=16384)
conn = listener.accept(timeout=30)
print("accepted")"""
WATCH = "sl.watch(conn, listener)"
WAIT = "listener.accept()"
LENS = "c, s = sl.pair(recv_buffer=16384)\nc.send(b'hello <b>&'); c.send(b'world'); s.recv(3)\nsl.lens(c, s)"
END = "for end in (conn, listener, c, s): end.close()"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def _chromium() -> str:
    if importlib.util.find_spec("jupyterlab") is None or importlib.util.find_spec("playwright") is None:
        helpers.lacking("JupyterLab or playwright is not installed: pip install 'socklens[notebook,browser]'")
    if importlib.util.find_spec("anywidget") is None:
        helpers.lacking("anywidget is not installed: pip install 'socklens[notebook]'")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or helpers.lacking("no Chromium is installed")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _lab(root: Path) -> Iterator[str]:
    """A JupyterLab of its own, with nobody's settings; gives its address."""
    port = _free_port()
    settings = {f"JUPYTER_{kind}_DIR": str(root / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    options = {"ip": "127.0.0.1", "port": port, "root_dir": root, "allow_root": True, "open_browser": False}
    command = [sys.executable, "-m", "jupyterlab", *(f"--ServerApp.{key}={value}" for key, value in options.items())]
    command += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    config = root / "config" / "labconfig"
    config.mkdir(parents=True)
    news = {
        "disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}
    }  # it asks whether to call home
    (config / "page_config.json").write_text(json.dumps(news))
    with (root / "lab.log").open("w") as log:
        lab = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert lab.poll() is None, (root / "lab.log").read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/api/status", timeout=5):
            return True
        return False

    try:
        helpers.eventually(answers, timeout=30, what="JupyterLab")
        yield address
    finally:
        lab.terminate()  # shuts its kernels down, too
        try:
            lab.wait(20)
        except subprocess.TimeoutExpired:
            lab.kill()
            lab.wait()


class Notebook:
    """The page of one notebook."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def command(self, name: str, **arguments: object) -> None:
        """One of JupyterLab's own commands; does not wait for its end."""
        call = f"void window.jupyterapp.commands.execute({json.dumps(name)}, {json.dumps(arguments)})"
        self.page.evaluate(f"() => {{ {call}; }}")

    def run(self) -> None:
        """Runs the cell that is selected, and selects the next."""
        self.command("notebook:run-cell-and-select-next")

    def shot(self, name: str) -> None:
        """Keeps a picture of the page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def until(self, condition: str, argument: object = None) -> Any:
        """Waits until the page says so."""
        return self.page.wait_for_function(condition, arg=argument, timeout=20_000)


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Callable[..., Notebook]]:
    chromium = _chromium()
    from playwright.sync_api import sync_playwright  # type: ignore[import-not-found, unused-ignore]

    with contextlib.ExitStack() as stack:

        def opened(*cells: str) -> Notebook:
            made = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]
            made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
            nbformat.write(made, tmp_path / "watched.ipynb")  # type: ignore[no-untyped-call]
            address = stack.enter_context(_lab(tmp_path))
            browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=chromium, args=CHROMIUM)
            stack.callback(browser.close)
            page = browser.new_page(viewport={"width": 1200, "height": 1300})
            page.goto(f"{address}/lab/tree/watched.ipynb?reset", timeout=30_000)
            page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=30_000)
            page.wait_for_function("() => window.jupyterapp", timeout=20_000)
            page.wait_for_function(READY, timeout=30_000)
            stack.callback(lambda: Notebook(page).shot("last"))
            return Notebook(page)

        yield opened


READY = "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
FILLED = """bytes => {
    const bars = [...document.querySelectorAll('.socklens-watched .socklens-bar')];
    const bar = bars.find(bar => bar.getAttribute('aria-label').startsWith(`in ${bytes} of`));
    return bar && parseFloat(bar.querySelector('.socklens-fill').style.width) > 0;
}"""
WAITING = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.textContent.includes('[*]'))"
SAYS = "words => document.querySelector('.jp-Notebook').textContent.includes(words)"


def test_bars_move_while_the_kernel_is_idle_and_while_a_cell_waits(notebook: Callable[..., Notebook]) -> None:
    port = _free_port()
    lab = notebook(LISTEN.format(port=port), WATCH, WAIT, LENS, END)
    lab.run()
    with _peer(port) as peer:
        lab.until(SAYS, "accepted")
        lab.run()
        lab.until(SAYS, "● live")
        assert not lab.page.is_visible(".socklens-still")
        lab.until(f"() => !({WAITING})()")  # the picture may be there before the cell's number

        peer.sendall(b"<script>document.title = 'taken over'</script>\x1b[31m".ljust(4000, b"x"))
        lab.until(FILLED, "4,000")
        lab.shot("idle")

        lab.run()
        lab.until(WAITING)
        peer.sendall(b"y" * 5000)
        lab.until(FILLED, "9,000")
        assert lab.page.evaluate(WAITING)
        lab.shot("waiting")

        lab.command("notebook:interrupt-kernel")
        lab.until(SAYS, "KeyboardInterrupt")
        lab.until(READY)  # what is asked for before that falls with the interrupted cell
        lab.run()
        lab.page.wait_for_selector(".socklens-block")
        lab.shot("interrupted")
        lab.command("apputils:change-theme", theme="JupyterLab Dark")
        lab.until("() => document.body.dataset.jpThemeLight === 'false'")
        lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
        lab.shot("dark")

        lab.run()
        lab.until(
            "() => [...document.querySelectorAll('.socklens-live')].some(live => live.textContent.includes('stopped'))"
        )
        assert "taken over" not in lab.page.title()


def _peer(port: int) -> socket.socket:
    """A client of the listener in the notebook, from outside."""
    found: list[socket.socket] = []

    def connected() -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            found.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        return bool(found)

    helpers.eventually(connected, timeout=20, what="the listener in the notebook")
    return found[0]
