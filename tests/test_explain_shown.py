"""The promise: an error of socklens that nobody caught shows its diagnosis: in a notebook and in IPython under the traceback, in a program
that asked for it as the exception's notes. Nobody's own handlers are in the way of that, nor it in theirs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import socklens as sl
from kernel import Kernel, kernel
from network import free_port
from socklens._explain import _showing

REFUSED = "sl.connect('127.0.0.1', port)"


@pytest.fixture(scope="module")
def notebook() -> Iterator[Kernel]:
    with kernel() as running:
        running.do(f"import socket, warnings, socklens as sl; warnings.simplefilter('ignore'); port = {free_port()}")
        yield running


def test_under_the_traceback(notebook: Kernel) -> None:
    ran = notebook.run(REFUSED)
    assert ran.error == "ConnectionRefusedError"
    (shown,) = ran.shown
    assert ran.order.index("error") < ran.order.index("display_data"), "first what Python says"
    assert "cause  nothing listens there" in shown["text/plain"]
    assert "socklens-diagnosis" in shown["text/html"]
    assert "Connection refused" not in shown["text/html"], "that stands above it"


def test_variables_of_the_notebook_are_named(notebook: Kernel) -> None:
    notebook.do("mine = sl.listen(port=port)")
    ran = notebook.run("sl.listen(port=port)", "another cell")
    (shown,) = ran.shown
    assert "this program (`mine`, made in cell In[" in " ".join(shown["text/plain"].split())
    ran = notebook.run("mine.close(); mine.accept()")
    assert "this program has closed it, in cell In[" in " ".join(ran.shown[0]["text/plain"].split())


def test_the_last_error_is_explained_when_asked(notebook: Kernel) -> None:
    notebook.run("socket.create_connection(('127.0.0.1', port))")
    assert "NOTHING_LISTENS" in notebook.do("sl.explain().cause").result


@pytest.mark.parametrize(
    "code",
    ["1 / 0", "open('/no such file')", "socket.create_connection(('127.0.0.1', port))", "raise OSError(111, 'x')"],
)
def test_errors_of_others_are_not_touched(notebook: Kernel, code: str) -> None:
    ran = notebook.run(code)
    assert ran.error
    assert ran.shown == []


def test_shown_once(notebook: Kernel) -> None:
    caught = f"try:\n    {REFUSED}\nexcept OSError as e:\n    error = e\n"
    assert notebook.do(caught).shown == [], "nothing for an error that is caught"
    assert len(notebook.run("raise error").shown) == 1
    again = notebook.run("raise error")
    assert again.shown == []
    assert "socklens looked into it:" in again.traceback, "the exception's note"


def test_handlers_of_others_go_on(notebook: Kernel) -> None:
    notebook.do(
        "seen = []\n"
        "def handler(shell, kind, error, trace, tb_offset=None):\n    seen.append(kind.__name__)\n    return ['theirs']\n"
        "get_ipython().set_custom_exc((OSError,), handler)\n"
        "get_ipython().events.register('post_run_cell', lambda result: seen.append('after'))"
    )
    ran = notebook.run(REFUSED)
    assert len(ran.shown) == 1
    assert notebook.do("seen[1:]").result == "['ConnectionRefusedError', 'after']", (
        "and 'after' of the cell that registered it"
    )
    notebook.do("get_ipython().set_custom_exc((), None)")


def test_switched_off(notebook: Kernel) -> None:
    notebook.do("sl.explain_errors(False)")
    assert notebook.run(REFUSED).shown == []
    notebook.do("sl.explain_errors()")
    assert len(notebook.run(REFUSED).shown) == 1


def test_awaited_in_a_cell(notebook: Kernel) -> None:
    ran = notebook.run("await sl.aio.connect('127.0.0.1', port)" if hasattr(sl, "aio") else REFUSED)
    assert len(ran.shown) == 1


def program(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1)
    return done.stderr


FAILS = f"import sys, threading, socklens as sl\n{{}}\nsl.connect('127.0.0.1', {free_port()})"


def test_a_program_asks_for_it() -> None:
    assert "socklens looked into it" not in program(FAILS.format(""))
    told = program(FAILS.format("sl.explain_errors(); sl.explain_errors()"))
    assert told.count("socklens looked into it:\n  cause  nothing listens there") == 1
    assert told.index("Traceback") < told.index("ConnectionRefusedError:") < told.index("socklens looked into it")
    assert "socklens looked into it" not in program(FAILS.format("sl.explain_errors(); sl.explain_errors(False)"))


def test_the_hook_that_was_there_is_called() -> None:
    own = (
        "sys.excepthook = lambda kind, error, trace: print('theirs', kind.__name__, *error.__notes__, file=sys.stderr)"
    )
    told = program(FAILS.format(f"{own}\nsl.explain_errors()"))
    assert told.startswith("theirs ConnectionRefusedError socklens looked into it:")


def test_a_thread_of_a_program() -> None:
    code = (
        "import threading, socklens as sl\nsl.explain_errors()\n"
        f"one = threading.Thread(target=sl.connect, args=('127.0.0.1', {free_port()}))\none.start(); one.join()"
    )
    assert "cause  nothing listens there" in program(code)


def test_attached_once_and_only_to_what_takes_notes() -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        sl.connect("127.0.0.1", free_port())
    assert _showing.attach(caught.value) is not None
    assert _showing.attach(caught.value) is None
    assert len(caught.value.__notes__) == 1

    class Stubborn(sl.ClosedError):
        def add_note(self, note: str) -> None:
            raise RuntimeError("no notes here")

    assert (
        _showing.attach(Stubborn(9, "recv: Connection 127.0.0.1:1 -> 127.0.0.1:2 was closed by this program")) is None
    )
    assert _showing.attach(None) is None
    assert _showing.attach(KeyboardInterrupt()) is None
