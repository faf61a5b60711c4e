"""The promise: a check believes only its own lines of what a program tells, and compares what a function returned by plain types."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import unittest.mock

import pytest
import socklens as sl
from checked import DIALOGUE, fails, passes, returning, serve
from refusals import refused
from socklens.check import Mistake

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

linux = pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")


# What the child tells


def pipes() -> dict[int, str]:
    found = {}
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            if (name := os.readlink(f"/proc/self/fd/{number}")).startswith("pipe:"):
                found[number] = name
    return found


def write_everywhere(data: bytes, not_to: dict[int, str]) -> None:
    """To all pipes but those of this list: pytest's own."""
    for number, name in pipes().items():
        if name not in not_to.values():
            with contextlib.suppress(OSError):
                os.write(number, data)


ENDED = {"status": None, "error": "", "line": "", "exit_called": False}
LINES = [
    ["ended", 5],
    ["ended", {}],
    ["ended", {"error": "ValueError: forged", "status": "x", "line": 7, "exit_called": 1}],
    ["ended", {**ENDED, "error": "ValueError: forged"}],
    ["trouble", {**ENDED, "error": 5}],
    ["trouble", [1]],
    ["listens", "80"],
    ["listens", -1],
    ["returned", {"equal": True}],
    ["value", {"equal": True, "repr": 5}],
    [["ended"], ENDED],
    {"ended": ENDED},
    None,
]


@pytest.mark.parametrize("end", [b"\n", b""], ids=["lines", "half lines"])
def test_what_a_program_writes_where_it_is_told_says_nothing(end: bytes) -> None:
    forged = b"".join(json.dumps(line).encode() + end for line in LINES) + b"[" * 100_000 + end

    theirs = pipes()

    def forges(host: str, port: int) -> None:
        write_everywhere(forged[:60_000], theirs)  # what a pipe has room for
        serve(host, port)

    def forges_and_raises(host: str, port: int) -> None:
        write_everywhere(forged[:30_000], theirs)
        raise KeyError("mine")

    passes(sl.check.echo_server(forges))
    fails(sl.check.echo_server(forges_and_raises), Mistake.RAISES, "KeyError: 'mine'")


def test_lines_of_a_wrong_shape_are_not_believed_even_from_the_child_itself() -> None:
    from socklens.check._telling import Telling

    here, there = os.pipe()
    try:
        os.set_blocking(here, False)
        telling = Telling()
        tell = telling.to(there)
        for line in LINES:
            if isinstance(line, list) and line[0] != "ended":
                os.write(there, b"\n" + telling._token + json.dumps(line).encode() + b"\n")
        os.write(there, b"\n" + telling._token + b"not JSON\n" + telling._token + b"[" * 10_000 + b"\nhalf a line")
        tell("listens", 4711)
        telling.take(here)
        assert telling.listens == 4711
        assert (telling.ended, telling.returned, telling.troubles) == (None, None, [])
    finally:
        os.close(here)
        os.close(there)


def test_who_writes_there_without_end_is_bounded() -> None:
    theirs = pipes()

    def floods(port: int) -> None:
        while True:
            write_everywhere(b"x" * 65536, theirs)

    fails(sl.check.echo_server(floods, timeout=2), Mistake.NEVER_LISTENS)


def test_who_has_closed_what_was_not_its_own_is_checked_all_the_same() -> None:
    def closes(host: str, port: int) -> None:
        os.closerange(3, 256)
        serve(host, port)

    def closes_and_raises(host: str, port: int) -> None:
        os.closerange(3, 256)
        raise KeyError("mine")

    passes(sl.check.echo_server(closes))
    result = sl.check.echo_server(closes_and_raises)
    fails(result, Mistake.NEVER_LISTENS, "ended with status 1")
    assert result.output.endswith("KeyError: 'mine'\n")


@linux
def test_nothing_is_told_where_the_programs_own_socket_has_come_in_the_pipes_place() -> None:
    def takes_all_numbers(host: str, port: int) -> None:
        os.closerange(3, 256)
        with socket.create_server((host, port)) as listener:
            conn = listener.accept()[0]
        numbers = [conn.dup() for _ in range(64)]
        conn.recv(100)
        raise KeyError(len(numbers))

    fails(sl.check.echo_server(takes_all_numbers), Mistake.EXITS, "ended with status 1")


# What a client returns


class EqualToAll:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError("shows nothing")


class Bytes(bytes):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = bytes.__hash__


class EqualTypes(type):
    def __eq__(cls, other: object) -> bool:
        return other is vars(cls).get("mistaken_for", other)

    __hash__ = type.__hash__


class AnyKind(EqualToAll, metaclass=EqualTypes):
    pass


class AnyList(list[object], metaclass=EqualTypes):
    mistaken_for = list


class AnySet(set[object], metaclass=EqualTypes):
    mistaken_for = frozenset


class AnyDict(dict[object, object], metaclass=EqualTypes):
    mistaken_for = dict


@pytest.mark.parametrize(
    ("value", "wanted", "words"),
    [
        (unittest.mock.ANY, b"12:30\n", "an object of type _ANY, not bytes"),
        (EqualToAll(), None, "an object of type EqualToAll, not NoneType"),
        (Bytes(b"no"), b"12:30\n", "an object of type Bytes, not bytes"),
        ([1, EqualToAll()], [1, 2], "a list with an object of type EqualToAll in it"),
        ({"a": unittest.mock.ANY}, {"a": 1}, "a dict with an object of type _ANY in it"),
        (AnyKind(), b"12:30\n", "an object of type AnyKind, not bytes"),
        ([AnyKind()], [b"12:30\n"], "a list with an object of type AnyKind in it"),
        (AnyList(), [], "an object of type AnyList, not list"),
        ((AnyList(),), ([],), "a tuple with an object of type AnyList in it"),
        (AnySet(), frozenset(), "an object of type AnySet, not frozenset"),
        ([AnyDict()], [{}], "a list with an object of type AnyDict in it"),
        ("12:30", b"12:30", "an object of type str, not bytes"),
        (True, 1, "an object of type bool, not int"),
        ([1, True], [1, 1], "something else"),
        ((1, 2), [1, 2], "an object of type tuple, not list"),
        (None, b"12:30", "something else"),
        (10**5000, 5, "something else"),
        (5, 10**5000, "something else"),
    ],
    ids=map(str, range(18)),
)
def test_a_value_is_what_it_should_be_only_by_its_own_types(value: object, wanted: object, words: str) -> None:
    fails(sl.check.client(returning(value), DIALOGUE, returns=wanted), None, f"and it returned {words}")


@pytest.mark.parametrize(
    "value",
    [None, 1.5, "12:30", [1, (2, b"3"), {"a": {4}}], {1: [bytearray(b"x")]}, frozenset({(1, 2)}), 10**5000],
    ids=map(str, range(7)),
)
def test_plain_values_that_are_equal_pass(value: object) -> None:
    passes(sl.check.client(returning(value), DIALOGUE, returns=value))


def test_what_a_function_has_to_return_is_plain() -> None:
    refused(TypeError, ["plain types", "_ANY"], sl.check.client, returning(1), DIALOGUE, returns=[unittest.mock.ANY])
