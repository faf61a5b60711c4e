"""The second notebook's exercises: right answers pass, every mistake has a reason of its own, and `hear` tells what came, escaped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import socklens as sl
from judged import solved, wrong
from socklens.lessons import Status, stage
from socklens.lessons import chat_room as lesson

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 1.2)


# ── join ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _step_by_step(address: sl.Address, name: str, *steps: str, end: bytes = b"\n") -> sl.Connection:
    with contextlib.ExitStack() as stack:
        conn = stack.enter_context(sl.connect(address))
        for step in steps:
            if step == "read":
                assert conn.recv_line()
            else:
                conn.sendall(name.encode() + end)
        stack.pop_all()
    return conn


def _joins_by_steps(*steps: str, end: bytes = b"\n") -> Any:
    return lambda address, name: _step_by_step(address, name, *steps, end=end)


def _leaves_again(address: sl.Address, name: str) -> sl.Connection:
    with _step_by_step(address, name, "read", "send", "read") as conn:
        return conn


def _text_into_a_socket(address: sl.Address, name: Any) -> sl.Connection:
    with contextlib.closing(sl.connect(address)) as conn:
        conn.sendall(name + "\n")
        return conn


def _under_another_name(address: sl.Address, name: str) -> sl.Connection:
    return _step_by_step(address, name.upper(), "read", "send", "read")


def _only_ascii(address: sl.Address, name: str) -> sl.Connection:
    name.encode("ascii")
    return _step_by_step(address, name, "read", "send", "read")


def test_join_passes() -> None:
    assert lesson.join.check(solved(lesson.join)["join"])
    # The order of the reads is the guest's own affair.
    assert lesson.join.check(_joins_by_steps("send", "read", "read"))


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_joins_by_steps("read", "send", "read", end=b""), ["had not returned", "a name ends with a newline"]),
        (_joins_by_steps("read", "read", "send"), ["had not returned", "waits for a name"]),
        (_joins_by_steps("read", "send", "read", "read"), ["had not returned", "greets a guest with two lines"]),
        (_joins_by_steps("send", end=b""), ["You sent 4 bytes", "a line ends with a newline"]),
        (_joins_by_steps("read"), ["nothing has been sent"]),
        (_joins_by_steps("send"), ["b'* Welcome. Send your name as your first line.\\n'", "read both"]),
        (_joins_by_steps("read", "send"), ["b'* You are dora. Here: witness.\\n'", "read both"]),
        (_leaves_again, ["closed already"]),
        (_text_into_a_socket, ["TypeError", 'at `conn.sendall(name + "\\n")`']),
        (_under_another_name, ["has to be called `dora`", "`DORA`"]),
        (_only_ascii, ["UnicodeEncodeError"]),
        (lambda address, name: None, ["returned None"]),
        (lambda address, name: name, ["returned a str"]),
        (7, ["Give the function itself"]),
    ],
)
def test_join_names_the_mistake(answer: object, reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.join.check(answer), *reasons)
    assert time.monotonic() - begun < 5


def test_a_connection_to_another_server_is_no_guest(listener: sl.Listener) -> None:
    with sl.connect(listener.local_addr) as elsewhere:
        wrong(lesson.join.check(lambda address, name: elsewhere), f"leads to `{listener.local_addr}`")


# ── chat ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _no_names(server: sl.Server, conn: sl.Connection) -> None:
    for line in conn.lines():
        server.broadcast(line, but=conn)


def _named(server: sl.Server, conn: sl.Connection) -> bytes:
    name = conn.recv_line(keep_end=False)
    server.clients[conn].name = name.decode()
    return name


def _nobody_told(server: sl.Server, conn: sl.Connection) -> None:
    _named(server, conn)
    for _ in conn.lines():
        pass


def _everybody_told(server: sl.Server, conn: sl.Connection) -> None:
    name = _named(server, conn)
    for line in conn.lines():
        server.broadcast(name + b": " + line)


def _who_spoke(server: sl.Server, conn: sl.Connection) -> None:
    _named(server, conn)
    for line in conn.lines():
        server.broadcast(line, but=conn)


def _one_line_only(server: sl.Server, conn: sl.Connection) -> None:
    name = _named(server, conn)
    server.broadcast(name + b": " + conn.recv_line(), but=conn)
    conn.recv_all()


def _other_mark(server: sl.Server, conn: sl.Connection) -> None:
    name = _named(server, conn)
    for line in conn.lines():
        server.broadcast(name + b"> " + line, but=conn)


def _name_with_its_end(server: sl.Server, conn: sl.Connection) -> None:
    server.clients[conn].name = conn.recv_line().decode()
    _no_names(server, conn)


def _name_as_bytes(server: sl.Server, conn: sl.Connection) -> None:
    server.clients[conn].name = conn.recv_line()  # type: ignore[assignment]


def _same_name_for_all(server: sl.Server, conn: sl.Connection) -> None:
    conn.recv_line()
    server.clients[conn].name = "somebody"
    _no_names(server, conn)


def _goes_on_for_ever(server: sl.Server, conn: sl.Connection) -> None:
    name = _named(server, conn)
    for line in conn.lines():
        server.broadcast(name + b": " + line, but=conn)
    while not conn.closed:
        time.sleep(0.01)


def _with_notices(server: sl.Server, conn: sl.Connection) -> None:
    name = _named(server, conn)
    server.broadcast(b"* " + name + b" has joined\n", but=conn)
    for line in conn.lines():
        server.broadcast(name + b": " + line, but=conn)
    server.broadcast(b"* " + name + b" has left\n", but=conn)


@pytest.mark.parametrize("answer", [solved(lesson.chat)["chat"], _with_notices])
def test_chat_passes(answer: object) -> None:
    for _ in range(3):
        outcome = lesson.chat.check(answer)
        assert outcome, outcome


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_no_names, ["no name for this client"]),
        (_nobody_told, ["Bob should hear `b'ana: hello\\n'`, but hears nothing"]),
        (_everybody_told, ["Ana hears herself"]),
        (_who_spoke, ["does not say who spoke"]),
        (_one_line_only, ["Ana should hear `b'bob: two\\n'`"]),
        (_other_mark, ["but hears `b'ana> hello\\n'`"]),
        (_name_with_its_end, ["'ana\\n'", "the newline belongs to the line"]),
        (_name_as_bytes, ["TypeError", "server.errors[-1].traceback"]),
        (_same_name_for_all, ["the roster has the name `somebody`"]),
        (_goes_on_for_ever, ["Eve has finished (FIN)"]),
        (lambda server, conn: None, ["your function has returned"]),
        (lambda conn: None, ["TypeError"]),
        ("chat", ["Give the function itself"]),
    ],
)
def test_chat_names_the_mistake(answer: object, reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.chat.check(answer), *reasons)
    assert time.monotonic() - begun < 5


def test_a_handler_that_still_returns_the_placeholder_is_not_attempted() -> None:
    assert lesson.chat.check(lambda server, conn: ...).status is Status.NOT_ATTEMPTED
    assert lesson.slowest.check(lambda server: ...).status is Status.NOT_ATTEMPTED
    assert lesson.join.check(lambda address, name: ...).status is Status.NOT_ATTEMPTED


# ── slowest ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_slowest_passes() -> None:
    outcome = lesson.slowest.check(solved(lesson.slowest)["slowest"])
    assert outcome, outcome


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (lambda server: max(server.clients, key=lambda one: one.totals.sent).name, ["`mia` was sent most", "`lea`"]),
        (lambda server: server.clients["tom"].name, ["You named `tom`"]),
        (lambda server: server.clients["lea"], ["Return its name"]),
        (lambda server: None, ["returned None"]),
        (lambda server: 3, ["returned an int"]),
        (lambda server: "zoe", ["Nobody here is called `zoe`", "`lea` 4"]),
        (lambda server: time.sleep(2), ["had not returned"]),
    ],
)
def test_slowest_names_the_mistake(answer: object, reasons: list[str]) -> None:
    wrong(lesson.slowest.check(answer), *reasons)


# ── what the cells use ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ends() -> Iterator[tuple[sl.Connection, sl.Connection]]:
    client, server = sl.pair()
    with client, server:
        yield client, server


def test_hear_tells_what_came_line_by_line_and_escaped(
    ends: tuple[sl.Connection, sl.Connection], capsys: pytest.CaptureFixture[str]
) -> None:
    client, server = ends
    server.sendall("grüße\n\x1b[2Jtwo\nand a half".encode())
    lesson.hear(ana=client, me=server)
    server.close()
    lesson.hear(ana=client, me=server)
    assert capsys.readouterr().out.splitlines() == [
        "ana hears  grüße",
        r"           \x1b[2Jtwo",
        "           and a half",
        " me hears  (nothing)",
        "ana hears  (the end of the stream)",
        " me hears  (closed)",
    ]


def test_hear_tells_a_reset(ends: tuple[sl.Connection, sl.Connection], capsys: pytest.CaptureFixture[str]) -> None:
    client, server = ends
    server.abort()
    lesson.hear(ana=client)
    assert capsys.readouterr().out == "ana hears  (ConnectionResetError)\n"


def test_the_room_is_where_it_was_asked_for_unless_somebody_else_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with sl.listen() as other:
        place = stage.room(other.local_addr)
        assert place.port != other.local_addr.port
    told = capsys.readouterr().out
    assert f"The server cannot listen on {other.local_addr}" in told
    assert f"The server listens on {place}" in told
    assert stage.room(place) == place
