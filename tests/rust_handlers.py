"""The handlers that run in Rust, as the tests are run with each of them. Those that echo, since every test asks for an answer."""

from __future__ import annotations

from typing import Any

import pytest
import socklens as sl

LINE_LIMIT = 65536


def sent_back(conn: sl.Connection, message: bytes) -> bytes:
    return message


BYTES: dict[str, Any] = {"Echo": sl.Echo(), "OnMessage chunk": sl.OnMessage(sent_back, framing="chunk")}
LINES: dict[str, Any] = {"LineEcho": sl.LineEcho(), "OnMessage line": sl.OnMessage(sent_back)}
every = pytest.mark.parametrize("handler", [*BYTES.values(), *LINES.values()], ids=[*BYTES, *LINES])
by_lines = pytest.mark.parametrize("handler", LINES.values(), ids=LINES)
