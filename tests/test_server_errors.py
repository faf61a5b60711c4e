"""The promise: an error of a handler says which line of the program it came from, in a list and alone, as text and drawn; what a client
sent steers neither a terminal nor a page.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from kernel import kernel
from serving import client_of
from socklens.server import Log, ServerError

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m"


def fail(conn: sl.Connection) -> None:
    raise ValueError(conn.recv_line().decode().strip())


def fail_inside(conn: sl.Connection) -> None:
    json.loads(conn.recv_line())


async def fail_awaiting(conn: sl.Connection) -> None:
    raise ValueError((await conn.aio.recv_line()).decode())


def fail_called(conn: sl.Connection, line: bytes) -> None:
    raise ValueError(line)


def errors_of(handler: Any, line: bytes = b"no JSON\n") -> Log[ServerError]:
    with sl.Server(handler) as server, client_of(server) as client:
        client.sendall(line)
        return eventually(lambda: server.errors)


@pytest.mark.parametrize(
    "handler", [fail, fail_inside, fail_awaiting, sl.OnMessage(fail_called)], ids=["own", "inside", "async", "Rust"]
)
def test_an_error_has_the_line_of_the_program(handler: Any) -> None:
    code = {"OnMessage": fail_called}.get(type(handler).__name__, handler).__code__
    (error,) = errors_of(handler)
    where = f"{__file__}, line {code.co_firstlineno + 1}"
    assert (error.where, str(error).endswith(f" ({where})")) == (where, True)


def test_a_module_of_the_program_may_be_called_like_one_of_pythons(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("def fail(conn):\n    raise ValueError(conn.recv_line())\n")
    spec = importlib.util.spec_from_file_location("code", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (error,) = errors_of(module.fail)
    assert error.where == f"{file}, line 2"


def test_what_is_nobodys_line_has_none() -> None:
    with sl.Server(fail) as server:
        server.listener.close()
        (error,) = eventually(lambda: server.errors)
    assert error.where is None
    assert "(" not in str(error).partition("ClosedError")[0]


def test_one_error_shows_itself_with_its_traceback() -> None:
    (error,) = errors_of(fail)
    assert repr(error).startswith(f"{error}\nTraceback (most recent call last):\n")
    assert repr(error).endswith("\nValueError: no JSON")
    drawn = error._repr_html_()
    assert "Traceback (most recent call last):\n" in drawn
    assert f"line {fail.__code__.co_firstlineno + 1}" in drawn


def test_what_a_client_sent_steers_nothing() -> None:
    errors = errors_of(fail, HOSTILE.encode() + b"\n")
    for shown in (repr(errors), repr(errors[0]), errors._repr_html_() or "", errors[0]._repr_html_()):
        assert "\x1b" not in shown
        assert r"\x1b[31m" in shown
    for drawn in (errors._repr_html_() or "", errors[0]._repr_html_()):
        assert "<img" not in drawn
        assert "&lt;img" in drawn


def test_a_list_is_drawn_with_its_number() -> None:
    errors = errors_of(fail)
    assert "<p>1 error</p>" in (errors._repr_html_() or "")
    assert (Log()._repr_html_(), repr(Log())) == (None, "[]"), "as any list that is empty"


def test_in_a_notebook_it_is_the_cell_and_its_line() -> None:
    with kernel() as notebook:
        ran = notebook.do("import socklens as sl\ndef broken(conn):\n    data = conn.recv()\n    return 1 / 0")
        notebook.do("server = sl.Server(broken, port=0).start()\nclient = sl.connect(server.local_addr, timeout=10)")
        notebook.do("client.sendall(b'x')\nclient.recv_all()")
        listed, alone = notebook.do(
            "display(server.errors)\ndisplay(server.errors[0])\nserver.stop(); client.close()"
        ).shown
        where = f"cell In[{ran.number}], line 4"
        for shown in (listed, alone):
            assert where in shown["text/plain"]
            assert where in shown["text/html"]
        assert "ZeroDivisionError: division by zero" in alone["text/html"]
