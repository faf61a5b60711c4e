"""The promise: where a server's handler failed, the story shows it: on its client's lifeline, at that moment, in every form."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import socklens as sl
from serving import client_of
from socklens import Connection, Event, Story

pytestmark = pytest.mark.usefixtures("no_leaks")
EVIL = b"</text><script>\x1b[31m\n"


def double(line: bytes) -> bytes:
    return b"%d\n" % (2 * int(line))


def in_a_thread(conn: Connection) -> None:
    for line in conn.lines():
        conn.sendall(double(line))


async def in_a_task(conn: Connection) -> None:
    async for line in conn.aio.lines():
        await conn.aio.sendall(double(line))


SERVERS: dict[str, Callable[[], sl.Server]] = {
    "threads": lambda: sl.Server(in_a_thread),
    "one": lambda: sl.Server(in_a_thread, mode="one"),
    "async": lambda: sl.Server(in_a_task),
    "on message": lambda: sl.Server(sl.OnMessage(lambda conn, line: double(line))),
}


def failed(story: Story) -> list[Event]:
    return [event for event in story.events if event.call == "handler"]


def told(server: sl.Server, *lines: bytes) -> None:
    """A client says these lines, reads the answers to all but the last, and waits for its connection to be ended."""
    with client_of(server) as client:
        for line in lines[:-1]:
            client.sendall(line)
            assert client.recv_line() == double(line)
        client.sendall(lines[-1])
        assert client.recv() == b""


@pytest.mark.parametrize("kind", SERVERS)
def test_it_stands_between_what_the_handler_read_and_the_close(kind: str) -> None:
    with sl.record() as story, SERVERS[kind]() as server:
        told(server, b"12\n", EVIL)
    (event,) = failed(story)
    of_it = [one.call for one in story.events if one.socket == event.socket]
    assert of_it[-2:] == ["handler", "close"]
    (error,) = server.errors
    assert (event.error, event.message) == ("ValueError", str(error.exception))
    assert event.began == event.ended
    assert (event.count, event.errno, event.stdlib) == (None, None, False)
    assert error.client is not None
    assert event.peer == error.client.peer_addr
    accepted = next(one.made for one in story.events if one.made is not None)
    assert event.socket == accepted


def test_it_is_drawn_in_every_form_and_escaped() -> None:
    with sl.record() as story, SERVERS["threads"]() as server:
        told(server, b"12\n", EVIL)
    (event,) = failed(story)
    said = f"#{event.number} handler ValueError: invalid literal for int()"
    text = story.to_text(200)
    assert said in text
    assert "; 1 handler failed" in text
    assert "×" in next(line for line in text.splitlines() if said in line)
    for drawn in (story.to_svg(), story.to_html()):
        assert "handler ValueError: invalid" in drawn
        assert "<script>" not in drawn
        assert "\x1b" not in drawn
    assert "handler ValueError#58; invalid" in story.to_mermaid()
    schema = json.loads(resources.files("socklens.story").joinpath("story.schema.json").read_text("utf-8"))
    whole = json.loads(story.to_json())
    jsonschema.validate(whole, schema)
    assert [one["message"] for one in whole["events"] if one["call"] == "handler"] == [event.message]
    assert "handler" in schema["$defs"]["event"]["properties"]["call"]["description"]


def test_a_handler_that_succeeds_leaves_no_mark() -> None:
    with sl.record() as story, sl.Server(lambda conn: conn.sendall(b"bye")) as server, client_of(server) as client:
        assert client.recv_all() == b"bye"
    assert failed(story) == []
    assert "handler" not in str(story)


def test_what_a_server_says_of_a_handler_is_told_too() -> None:
    with sl.record() as story, sl.Server(lambda conn: conn.recv()) as server:
        told(server, b"never sent back\n")
    (event,) = failed(story)
    assert event.error == "TypeError"
    assert "is not sent" in (event.message or "")


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


@pytest.mark.parametrize(
    ("error", "message"),
    [(Silent(), "(its message cannot be had)"), (ValueError("x" * 5000), "x" * 200), (ValueError("\udcff"), "���")],
)
def test_whatever_the_exception_says(error: Exception, message: str) -> None:
    def handler(conn: Connection) -> Any:
        conn.recv()
        raise error

    with sl.record() as story, sl.Server(handler) as server:
        told(server, b"x\n")
    assert [event.message for event in failed(story)] == [message]
    assert len(max(str(story).splitlines(), key=len)) <= 100


def test_none_is_lost_in_a_crowd() -> None:
    """Where many calls are folded into one row, each client's failure keeps its own."""
    with sl.record() as story, SERVERS["one"]() as server:
        for number in range(80):
            told(server, *(b"%d\n" % one for one in range(number % 7)), b"%d?\n" % number)
    numbers = {event.number for event in failed(story)}
    assert len(numbers) == 80
    shown = story._layout()
    place = {column.socket for column in shown.columns}
    drawn = {event.number for event in failed(story) if event.socket in place}
    assert drawn
    assert {mark.numbers for mark in shown.marks if mark.numbers[0] in drawn} == {(one,) for one in drawn}
