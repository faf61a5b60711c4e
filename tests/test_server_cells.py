"""In a notebook: a cell that is run again replaces the servers that it started, and says so in one line; a server works while a cell
computes and between cells, and the stop button ends `join`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from kernel import Kernel, kernel
from network import free_port

NOTICE = r"socklens: stopped the earlier server on 127\.0\.0\.1:\d+ \(started in cell In\[(\d+)\], line (\d+)\); .*\n"
ids = pytest.mark.parametrize("cell", ["4f1c7a", None], ids=["with a cell id", "without"])

PRELUDE = """
import socklens as sl, threading, time, warnings
from socklens.server import _running
warnings.simplefilter('ignore')

def echo(conn):
    for line in conn.lines():
        conn.sendall(line)

def asked(server, line=b'hello\\n'):
    with sl.connect(server.local_addr, timeout=10) as client:
        client.sendall(line)
        return client.recv_line(timeout=10)
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Kernel]:
    with kernel() as running:
        running.do(PRELUDE)
        yield running


@pytest.fixture
def notebook(shared: Kernel) -> Iterator[Kernel]:
    """A kernel in which no server runs, and `port` is free."""
    shared.do(f"port = {free_port()}")
    yield shared
    shared.do("for left in list(_running._running): left.stop(0)")


@ids
@pytest.mark.parametrize("port", ["port", "0"])
@pytest.mark.parametrize("handler", ["echo", "sl.LineEcho()"])
def test_a_cell_that_is_run_again_replaces_its_server(
    notebook: Kernel, cell: str | None, port: str, handler: str
) -> None:
    code = f"server = sl.Server({handler}, port={port})\nserver.start()\nasked(server)"
    first = notebook.do(code, cell)
    assert (first.printed, first.result) == ("", r"b'hello\n'")
    notebook.do("old = server")
    second = notebook.do(code, cell)
    notice = re.fullmatch(NOTICE, second.printed)
    assert notice, f"one line, and nothing else: {second.printed!r}"
    assert notice.groups() == (str(first.number), "2")
    assert second.result == r"b'hello\n'"
    assert notebook.do("old.running, server.running, len(_running._running)").result == "(False, True, 1)"


@ids
def test_with_is_a_start_too_and_leaves_nothing_to_replace(notebook: Kernel, cell: str | None) -> None:
    code = "with sl.Server(echo, port=port) as server:\n    answer = asked(server)\nanswer"
    for _ in range(2):
        ran = notebook.do(code, cell)
        assert (ran.printed, ran.result) == ("", r"b'hello\n'")


def test_who_was_dropped_is_counted(notebook: Kernel) -> None:
    code = "server = sl.Server(echo, port=port).start()"
    notebook.do(code, "cell-a")
    notebook.do("old, clients = server, [sl.connect(server.local_addr) for _ in range(2)]")
    notebook.do("for client in clients: client.sendall(b'x\\n'), client.recv_line(timeout=10)")
    assert "; 2 clients dropped); this one replaces it" in notebook.do(code, "cell-a").printed
    assert notebook.do("[dropped.reason for dropped in old.dropped]").result == "['stopped', 'stopped']"
    assert notebook.do("[client.recv(timeout=10) for client in clients]").result == "[b'', b'']"
    notebook.do("for client in clients: client.close()")


@ids
def test_both_servers_of_one_run_are_kept(notebook: Kernel, cell: str | None) -> None:
    code = "one = sl.Server(echo).start(); two = sl.Server(echo).start()\n[asked(one), asked(two)]"
    assert notebook.do(code, cell).printed == ""
    assert notebook.do("one.running, two.running").result == "(True, True)"
    assert notebook.do(code, cell).printed.count("stopped the earlier server") == 2
    assert notebook.do("one.running, two.running, len(_running._running)").result == "(True, True, 2)"


def test_an_edited_cell_replaces_its_server_wherever_it_listened(notebook: Kernel) -> None:
    notebook.do("server = sl.Server(echo, port=port).start()", "cell-a")
    ran = notebook.do("# edited\nserver = sl.Server(echo).start()", "cell-a")
    assert re.fullmatch(NOTICE, ran.printed)
    ran = notebook.do("server = sl.listen(port=port)", "cell-a")
    assert re.fullmatch(NOTICE, ran.printed), "a listener in its place"
    ran = notebook.do("server = sl.Server(echo, port=port).start()", "cell-a")
    assert "closed the earlier listener" in ran.printed


def test_another_cell_meets_the_conflict(notebook: Kernel) -> None:
    made = notebook.do("# lesson 3\nserver = sl.Server(echo, port=port).start()", "cell-a")
    for code in ("other = sl.Server(echo, port=port).start()", "other = sl.listen(port=port)"):
        ran = notebook.run(code, "cell-b")
        assert ran.error == "OSError"
        for word in (
            "Address already in use",
            "the server `server`",
            f"cell In[{made.number}], line 2",
            "server.stop()",
        ):
            assert word in ran.message
    assert notebook.do("asked(server)").result == r"b'hello\n'"
    ran = notebook.do("other = sl.listen(port=port, replace=True); server.running", "cell-b")
    assert re.fullmatch(NOTICE, ran.printed)
    assert ran.result == "False"
    notebook.do("other.close()")


def test_a_server_that_lost_its_name_is_told_and_can_be_stopped(notebook: Kernel) -> None:
    code = "server = sl.Server(echo, port=port)\nserver.start()"
    made = notebook.do(code, "cell-a")
    ran = notebook.run(code, "cell-b")
    assert ran.error == "OSError"
    assert f"a server without a name, started in cell In[{made.number}]" in ran.message
    assert "Use sl.servers()[0].stop() first" in ran.message
    notebook.do("sl.servers()[0].stop()")
    notebook.do(code, "cell-b")
    assert notebook.do("sl.servers() == [server]").result == "True"


def test_it_serves_while_a_cell_computes_and_between_cells(notebook: Kernel) -> None:
    notebook.do("server = sl.Server(echo).start(); answers = []; done = threading.Event()")
    notebook.do(
        "def ask_often():\n"
        "    while not done.is_set():\n"
        "        answers.append(asked(server))\n"
        "asking = threading.Thread(target=ask_often); asking.start()"
    )
    assert notebook.do("while len(answers) < 20: sum(range(1000))\nset(answers)").result == r"{b'hello\n'}"
    notebook.do("done.set(); asking.join(10)")


def test_what_a_handler_prints_goes_to_the_cell_that_started_it(notebook: Kernel) -> None:
    notebook.do(
        "printed = threading.Event()\n"
        "def tell(conn):\n"
        "    print('told by the handler', flush=True)\n"
        "    printed.set()\n"
    )
    running = notebook.start(
        "server = sl.Server(tell).start()\n"
        "client = sl.connect(server.local_addr)\n"
        "printed.wait(10), client.recv(timeout=10), client.close()"
    )
    assert "told by the handler\n" in running.until().printed


def test_the_stop_button_ends_join(notebook: Kernel) -> None:
    notebook.do("server = sl.Server(echo).start()")
    running = notebook.start("print('waits', flush=True)\nserver.join()")
    running.until("waits")
    notebook.interrupt()
    assert running.until().error == "KeyboardInterrupt"
    assert notebook.do("server.running, asked(server)").result == r"(True, b'hello\n')"


def test_shift_tab_explains(notebook: Kernel) -> None:
    notebook.do("server = sl.Server(echo).start()")
    for code, word in (
        ("sl.Server", "Serves many clients"),
        ("server.start", "Opens the listener"),
        ("server.stop", "Ends the service"),
        ("server.clients", "oldest first: a snapshot"),
        ("server.broadcast", "too slow"),
        ("server.errors", "What handlers raised"),
        ("sl.Dropped", "its handler goes on"),
    ):
        assert word in " ".join(notebook.help(code).split()), code
