"""Predictions of three notebooks: the cells, run in this process, show the same answer every time, and twice in a row."""

from __future__ import annotations

import ast
import gc
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import socklens as sl

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"

SEEN = {
    "08_messages_in_a_stream": {
        "one_recv": "only its beginning",
        "two_sends": "all three messages",
        "one_send": "it takes a part and says how much",
        "split_letter": "no: a piece may end inside a letter",
    },
    "09_how_connections_end": {
        "after_half_close": "yes, and the client can read it",
        "empty_send": "it goes on waiting",
        "after_close": "it fails: the connection was reset",
        "port_again": "only with `reuse_addr=True`",
        "vanished": "nothing: `send` works, `recv` waits",
        "left_open": "CLOSE_WAIT",
    },
    "10_a_small_http_server": {"no_length": "it waits for more", "how_many": "two"},
}


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """What the cells define; what they leave open is closed."""
    timeout = sl.get_default_timeout()
    names: dict[str, Any] = {}
    yield names
    sl.set_default_timeout(timeout)
    # A cell that is run again outside of a notebook leaves its first server running, without a name.
    for server in sl.servers():
        server.stop(0)
    for value in names.values():
        if isinstance(value, sl.Connection | sl.Listener):
            value.close()
    names.clear()
    gc.collect()


def _cells(name: str) -> Iterator[str]:
    """The code of the cells that are no exercise."""
    for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and not {"exercise", "solution"} & set(cell["metadata"].get("tags", ())):
            yield "".join(cell["source"])


def _value(code: str, names: dict[str, Any]) -> object:
    """Runs a cell; the value of its last expression, as a notebook would show it."""
    tree = ast.parse(code)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "<cell>", "exec"), names)
        return None
    del tree.body[-1]
    exec(compile(tree, "<cell>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


# A cell that runs again lets go of the connections that it made before, as a student's does.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("name", SEEN)
def test_what_a_cell_shows_is_what_the_notebook_says(name: str, names: dict[str, Any]) -> None:
    compared = []
    for code in _cells(name):
        found = re.search(r"lesson\.(\w+)\.compare\(", code)
        for _ in range(2):
            shown = repr(_value(code, names))
            if found:
                assert f"Seen: {SEEN[name][found[1]]}." in shown
        if found:
            compared.append(found[1])
    assert compared == list(SEEN[name])
