"""The promise: what README.md shows can be typed, and does what it says there."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import io
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import socklens as sl
from written import shape

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
FIRST, SESSION, CHAT, TALK, PORTS, STORY, WIRE, CHECK, TEST = re.findall(
    r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE
)


def test_the_first_five_lines_and_the_session_after_them() -> None:
    names: dict[str, object] = {}
    # Any free port: 6666 may be in use on the machine that runs this test.
    exec(FIRST.replace('("127.0.0.1", 6666)     # waits', '("127.0.0.1", 0)  # waits').replace(
        'sl.connect("127.0.0.1", 6666)', "sl.connect(listener.local_addr)"), names)  # fmt: skip
    checked = 0
    for example in doctest.DocTestParser().get_examples(SESSION):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(example.source, "README.md", "single"), names)
        assert shape(printed.getvalue()) == shape(example.want), example.source
        checked += 1
    assert checked == 5
    for name in ("listener", "b", "a_for_b"):
        names[name].close()  # type: ignore[attr-defined]


def test_the_chat() -> None:
    program = CHAT.replace('"127.0.0.1", 6666', '"127.0.0.1", 0')
    assert program != CHAT
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("welcome") == 3
    _, roster = done.stdout.split("b'hello from ann\\n' b'hello from ann\\n'\n")
    assert roster.count("ESTABLISHED") == 3
    assert roster.endswith("[] []\n")


def test_the_story() -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(STORY, names := {"sl": sl})
    for name in ("client", "server"):
        names[name].close()
    assert printed.getvalue().count("sendall 8 B") == 1
    assert "8 B sent, 8 B taken, 0 B not taken" in printed.getvalue()


def test_the_same_in_async_code() -> None:
    with sl.Server(sl.LineEcho()) as server:
        names: dict[str, Any] = {"sl": sl, "server": server}
        exec(TALK, names)
        assert asyncio.run(names["talk"]()) == b"hello\n"


def test_the_ports() -> None:
    changes = re.sub(r"^\.\.\. +#", "listener = sl.listen() #", PORTS, flags=re.MULTILINE)
    assert changes != PORTS
    names: dict[str, Any] = {"sl": sl}
    exec(changes, names)
    with names["listener"] as listener:
        found = sl.ports(mine=True).diff(names["before"])
        assert [row.local for row in found.opened if row.role == "listener"] == [listener.local_addr]


def test_the_wire() -> None:
    names: dict[str, Any] = {"sl": sl}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(WIRE, names)
    lines = printed.getvalue().splitlines()
    assert lines[0] == r"b'he' b'll' b'o\n'"
    assert any("RST after byte 10 to both ends" in line for line in names["wire"].story.__repr__().splitlines())


def test_the_check() -> None:
    names: dict[str, Any] = {"sl": sl}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(CHECK, names)
    shown = re.search(r"```text\n(failed: line server.*?)```", README, re.DOTALL)
    assert shown is not None
    assert printed.getvalue().split("\n")[1:5] == shown[1].split("\n")[1:5]


def test_the_test(server: Any) -> None:
    names: dict[str, Any] = {"sl": sl}
    exec(TEST, names)
    names["test_echo"](server)


def test_the_explanation() -> None:
    block = re.search(r">>> sl.explain\(\).*?\n(TimeoutError.*?)```", README, re.DOTALL)
    assert block is not None
    with socket.create_server(("127.0.0.1", 0), backlog=0) as s, socket.create_connection(s.getsockname()):
        with pytest.raises(TimeoutError) as full, socket.create_connection(s.getsockname(), timeout=0.3):
            pass
        port = str(s.getsockname()[1])
        found = str(sl.explain(full.value)).replace(port, "33017")
    assert shape(found).split() == shape(block[1]).split()
