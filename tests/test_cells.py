"""In a notebook: a cell that is run again replaces the listener that it made, and says so in one line; any other cell meets the
conflict with the variable and the cell that has the port. The stop button ends every wait, and Shift-Tab is never empty.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from kernel import Kernel, kernel
from network import free_port

NOTICE = r"socklens: closed the earlier listener on 127\.0\.0\.1:\d+ \(made in cell In\[(\d+)\], line (\d+)\); .*\n"
# A cell's id, as JupyterLab and VS Code send it, or none, as nbclient does.
ids = pytest.mark.parametrize("cell", ["4f1c7a", None], ids=["with a cell id", "without"])


@pytest.fixture(scope="module")
def shared() -> Iterator[Kernel]:
    with kernel() as running:
        running.do("import gc, warnings, socklens as sl; warnings.simplefilter('ignore')")
        running.do(TELL)
        yield running


@pytest.fixture
def notebook(shared: Kernel) -> Iterator[Kernel]:
    """A kernel in which nothing is left over of earlier tests, and `port` is free."""
    shared.do(f"port = {free_port()}")
    yield shared
    shared.do("from socklens._listen import live\nfor left in live(): left.close()")


# Running again


@ids
def test_a_cell_that_is_run_again_replaces_its_listener(notebook: Kernel, cell: str | None) -> None:
    code = "listener = sl.listen(port=port)\nlistener.local_addr.port == port"
    first = notebook.do(code, cell)
    assert (first.printed, first.result) == ("", "True")
    notebook.do("old = listener")
    second = notebook.do(code, cell)
    notice = re.fullmatch(NOTICE, second.printed)
    assert notice, f"one line, and nothing else: {second.printed!r}"
    assert second.result == "True"
    assert notebook.do("old.closed, listener.closed, listener.state.name").result == "(True, False, 'LISTEN')"
    assert notice.groups() == (str(first.number), "1"), "the run that made it, not the one that replaces it"


@ids
def test_a_cell_with_a_free_port_is_run_again(notebook: Kernel, cell: str | None) -> None:
    code = "listener = sl.listen()"
    notebook.do(code, cell)
    notebook.do("old = listener")
    assert re.fullmatch(NOTICE, notebook.do(code, cell).printed)
    assert notebook.do("old.closed, listener.closed").result == "(True, False)"


@ids
def test_both_listeners_of_one_run_are_kept(notebook: Kernel, cell: str | None) -> None:
    code = "one = sl.listen(); two = sl.listen(); three = sl.listen('127.0.0.2', port)"
    assert notebook.do(code, cell).printed == ""
    assert (
        notebook.do("old = [one, two, three]; [listener.closed for listener in old]").result == "[False, False, False]"
    )
    assert notebook.do(code, cell).printed.count("closed the earlier listener") == 3
    closed = "[listener.closed for listener in [*old, one, two, three]]"
    assert notebook.do(closed).result == "[True, True, True, False, False, False]"


@ids
def test_one_run_cannot_have_a_port_twice(notebook: Kernel, cell: str | None) -> None:
    ran = notebook.run("for _ in range(2):\n    listener = sl.listen(port=port)", cell)
    assert ran.error == "OSError"
    assert "`listener`" in ran.message
    assert f"cell In[{ran.number}], line 2" in ran.message


def test_an_edited_cell_is_the_same_cell(notebook: Kernel) -> None:
    notebook.do("listener = sl.listen(port=port)", "cell-a")
    ran = notebook.do("# edited\nlistener = sl.listen('127.0.0.1', port, backlog=3)", "cell-a")
    assert re.fullmatch(NOTICE, ran.printed)
    assert notebook.do("listener.backlog.limit").result == "3"


def test_a_listener_that_was_closed_or_forgotten_is_not_mentioned(notebook: Kernel) -> None:
    code = "listener = sl.listen(port=port)"
    notebook.do(code, "cell-a")
    notebook.do("listener.close()")
    assert notebook.do(code, "cell-a").printed == ""
    notebook.do("del listener; _ = gc.collect()")
    assert notebook.do(code, "cell-a").printed == ""


def test_accepted_connections_survive_that_their_cell_is_run_again(notebook: Kernel) -> None:
    code = "listener = sl.listen(port=port)"
    notebook.do(code, "cell-a")
    notebook.do("b = sl.connect(listener.local_addr); a_for_b = listener.accept(timeout=10)")
    notebook.do(code, "cell-a")
    assert notebook.do("b.sendall(b'hello'); a_for_b.recv_exactly(5, timeout=10)").result == "b'hello'"
    notebook.do("b.close(); a_for_b.close()")


# Another cell


@pytest.mark.parametrize(("first", "second"), [("cell-a", "cell-b"), (None, None), ("cell-a", None)])
def test_another_cell_meets_the_conflict(notebook: Kernel, first: str | None, second: str | None) -> None:
    made = notebook.do("# lesson 2\n# two listeners\nserver = sl.listen(port=port)", first)
    ran = notebook.run("other = sl.listen(port=port)", second)
    assert ran.error == "OSError"
    for word in ("Address already in use", "`server`", f"cell In[{made.number}], line 3", "server.close()"):
        assert word in ran.message
    assert notebook.do("server.closed").result == "False"
    assert re.fullmatch(NOTICE, notebook.do("other = sl.listen(port=port, replace=True)", second).printed)
    assert notebook.do("server.closed").result == "True"


def test_another_cell_with_the_same_text_is_another_cell(notebook: Kernel) -> None:
    code = "server = sl.listen(port=port)"
    made = notebook.do(code, "cell-a")
    ran = notebook.run(code, "cell-b")
    assert ran.error == "OSError"
    assert f"cell In[{made.number}], line 1" in ran.message, "the cell that made it, not the one that fails"


@ids
def test_a_function_is_of_the_cell_that_calls_it(notebook: Kernel, cell: str | None) -> None:
    notebook.do("def serve():\n    return sl.listen()")
    notebook.do("one = serve()", cell)
    assert notebook.do("two = serve()", cell and "another").printed == ""
    assert notebook.do("one.closed, two.closed").result == "(False, False)"
    assert re.fullmatch(NOTICE, notebook.do("two = serve()", cell and "another").printed)
    assert notebook.do("one.closed, two.closed").result == "(False, False)"


@ids
def test_a_listener_of_a_thread_stays(notebook: Kernel, cell: str | None) -> None:
    code = """
import threading
made = []
thread = threading.Thread(target=lambda: made.append(sl.listen()))
thread.start(); thread.join()
made[0].closed"""
    assert notebook.do(code, cell).result == "False"
    notebook.do("first = made[0]")
    assert notebook.do(code, cell).result == "False"


def test_where_a_listener_was_made(notebook: Kernel) -> None:
    made = notebook.do("x = 1\nlistener = sl.listen()\nclient = sl.connect(listener.local_addr)\na, b = sl.pair()")
    shown = notebook.do("for thing in (listener, client, a, b): print(thing.created_at); thing.close()").printed
    assert shown.splitlines() == [f"cell In[{made.number}], line {line}" for line in (2, 3, 4, 4)]


# The stop button

# A thread prints "waits" as soon as the cell's own code is at that line and in no function of Python's.
TELL = """
import sys, threading, time
def tell_when_at_line(line):
    def look():
        while (frame := sys._current_frames()[main]).f_code.co_name != "<module>" or frame.f_lineno != line:
            time.sleep(0.001)
        print("waits", flush=True)
    main = threading.main_thread().ident
    threading.Thread(target=look).start()
"""
WAITS = {
    "accept": "listener.accept()",
    "accept in a loop": "for conn in listener: pass",
    "recv": "c.recv()",
    "recv_line": "a.recv_line()",
    "lines": "for line in a.lines(): pass",
    "recv_exactly": "a.recv_exactly(100_000)",
    "sendall": "c.sendall(bytes(100_000_000))",
    "connect": "sl.connect(full.local_addr)",
}


@pytest.mark.parametrize("wait", WAITS)
def test_the_stop_button_ends_a_wait_and_all_stay_usable(notebook: Kernel, wait: str) -> None:
    notebook.do("listener = sl.listen(); a, b = sl.pair(); c, d = sl.pair(); b.sendall(b'part of ')")
    notebook.do("full = sl.listen(backlog=0); waiting = sl.connect(full.local_addr)  # a queue of n holds n + 1")
    running = notebook.start(f"tell_when_at_line(2)\n{WAITS[wait]}")
    running.until("waits")
    before = time.monotonic()
    notebook.interrupt()
    ran = running.until()
    assert time.monotonic() - before < 5
    assert ran.error == "KeyboardInterrupt"
    assert "----> 2" in ran.traceback

    assert notebook.do("[x.closed for x in (a, b, c, d, listener, full, waiting)]").result == str([False] * 7)
    notebook.do("b.sendall(b'a line\\n')")
    assert notebook.do("a.recv_line(timeout=10)").result == r"b'part of a line\n'"
    notebook.do("d.sendall(b'x')")
    assert notebook.do("c.recv(timeout=10)").result == "b'x'"
    notebook.do(
        "with sl.connect(listener.local_addr) as client, listener.accept(timeout=10) as server: client.sendall(b'x')"
    )
    notebook.do("for conn in (a, b, c, d, waiting): conn.abort()")


# Shift-Tab


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("sl", "Real TCP sockets"),
        ("sl.listen", "Open a listener"),
        ("sl.connect", "Connects to a listener"),
        ("conn", "One end of a TCP connection"),
        ("conn.recv", "One recv is not one send"),
        ("conn.state", "state"),
        ("conn.info", "TCP_INFO"),
        ("conn.input_buffer", "frozen"),
        ("conn.local_addr", "endpoint"),
        ("conn.timeout", "How long a call waits"),
        ("conn.nodelay", "TCP_NODELAY"),
        ("listener.accept", "waits until there is one"),
        ("listener.backlog", "accept queue"),
        ("listener.accepted", "How many clients"),
        ("info", "All that the kernel tells"),
        ("info.rtt", "Smoothed round-trip time, in microseconds"),
        ("info.snd_cwnd", "in segments"),
        ("buffer.capacity", "SO_RCVBUF"),
        ("sl.TcpInfo.rtt", "Smoothed round-trip time, in microseconds"),
        ("sl.TcpState.TIME_WAIT", "RFC 9293"),
        ("sl.ClosedError", "closed by this program"),
    ],
)
def test_shift_tab_explains(notebook: Kernel, code: str, word: str) -> None:
    notebook.do("listener = sl.listen(); conn, peer = sl.pair(); info = conn.info(); buffer = conn.input_buffer")
    shown = notebook.help(code)
    assert word in " ".join(shown.split())
    notebook.do("conn.close(); peer.close()")
