"""What the tests of checks share: programs that are right, a verdict, and the evidence that it has to name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import socklens as sl
from socklens.check import Mistake, Outcome, Result

Program = Callable[..., Any]

DIALOGUE = [(b"time?\n", b"12:30\n")]
"""What a client that is checked says, and hears."""


def echo(conn: sl.Connection) -> None:
    """A handler that is right."""
    while data := conn.recv():
        conn.sendall(data)


def serve(host: str, port: int) -> None:
    """The same as a program."""
    sl.Server(echo, host, port).start().join()


def returning(value: object) -> Program:
    """A client that holds the dialogue, and returns this."""

    def ask(conn: sl.Connection) -> object:
        conn.sendall(b"time?\n")
        conn.recv_line()
        return value

    return ask


def passes(result: Result) -> None:
    """It passed, and says nothing against the program."""
    assert result, repr(result)
    assert (result.reason, result.mistake, result.events) == ("", None, ())
    assert {step.outcome for step in result.steps} == {Outcome.PASSED}, result


def fails(result: Result, mistake: Mistake | None, *fragments: str) -> None:
    """It failed for this mistake, with a reason that says all of this, in exactly one step."""
    assert not result
    assert not result.passed
    assert result.mistake is mistake, repr(result)
    for fragment in fragments:
        assert fragment.lower() in result.reason.lower(), repr(result)
    assert result.reason.endswith(".")
    outcomes = [step.outcome for step in result.steps]
    assert outcomes.count(Outcome.FAILED) == 1, repr(result)
    after = outcomes[outcomes.index(Outcome.FAILED) + 1 :]
    assert set(after) <= {Outcome.NOT_RUN}, "nothing is run after a failure"
    text = repr(result)
    assert text.startswith("failed: ")
    if mistake is not None:
        assert mistake.value in text
