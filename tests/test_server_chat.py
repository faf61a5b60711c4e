"""The promise: in the chat room each hears every line of the others once, whole and in the order in which it was said, and nobody hears
himself; who comes and goes is told; who does not read goes, and the others miss nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import socklens as sl
from flow import SMALL
from helpers import eventually
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import DEADLINE, client_of, serving

InThread = Callable[..., "Future[Any]"]
pytestmark = pytest.mark.usefixtures("no_leaks")
WELCOME = b"* Welcome. Send your name as your first line.\n"
LEFT = b"* dan has left.\n"


def enter(client: sl.Connection, name: str, here: str = "") -> None:
    """Says its name, and is told who is here."""
    assert client.recv_line() == WELCOME
    client.sendall(name.encode() + b"\n")
    company = f"Here: {here}" if here else "Nobody else is here yet"
    assert client.recv_line().decode() == f"* You are {name}. {company}.\n"


@contextmanager
def room(*names: str, **options: Any) -> Iterator[tuple[sl.Server, list[sl.Connection]]]:
    """A chat room and its guests, who know of each other."""
    with serving(sl.Chat()) as server, ExitStack() as stack:
        guests: list[sl.Connection] = []
        for number, name in enumerate(names):
            guests.append(stack.enter_context(client_of(server, **options)))
            enter(guests[-1], name, ", ".join(sorted(names[:number])))
            for other in guests[:-1]:
                assert other.recv_line() == f"* {name} has joined.\n".encode()
        yield server, guests


def test_everyone_but_the_sender_hears() -> None:
    with room("ana", "bob", "cyd") as (_, (ana, bob, cyd)):
        ana.sendall(b"hello\n")
        assert bob.recv_line() == cyd.recv_line() == b"ana: hello\n"
        bob.sendall(b"hi\n")
        assert ana.recv_line() == cyd.recv_line() == b"bob: hi\n", "and not her own hello"


def test_who_leaves_is_told_however_it_goes() -> None:
    with room("ana", "bob", "cyd", "dan") as (server, (ana, bob, cyd, dan)):
        bob.close()
        assert ana.recv_line() == cyd.recv_line() == dan.recv_line() == b"* bob has left.\n"
        cyd.abort()
        assert ana.recv_line() == dan.recv_line() == b"* cyd has left.\n"
        dan.shutdown("send")
        assert ana.recv_line() == b"* dan has left.\n"
        assert dan.recv() == b""
        assert [client.name for client in server.clients] == ["ana"]


def test_who_is_put_out_has_left_for_the_others_at_once() -> None:
    with room("ana", "bob", "cyd") as (server, (ana, _, _)):
        server.kick("bob")
        assert ana.recv_line() == b"* bob has left.\n"
        server.clients["cyd"].conn.close()
        assert ana.recv_line() == b"* cyd has left.\n"


def test_last_words_without_an_end() -> None:
    with room("ana", "bob") as (_, (ana, bob)):
        bob.sendall(b"bye")
        bob.shutdown("send")
        assert ana.recv_line() == b"bob: bye\n"
        assert ana.recv_line() == b"* bob has left.\n"
        assert bob.recv() == b""


def test_several_lines_in_one_segment_and_one_line_in_many() -> None:
    with room("ana", "bob") as (server, (ana, bob)):
        ana.sendall(b"one\ntwo\r\n\n\r\nthree\nfo")
        assert [bob.recv_line() for _ in range(3)] == [b"ana: one\n", b"ana: two\n", b"ana: three\n"]
        for byte in b"ur":
            ana.sendall(bytes([byte]))
            eventually(lambda: server.clients["ana"].conn.input_buffer.kernel == 0)
        ana.sendall(b"\n")
        assert bob.recv_line() == b"ana: four\n"


def test_a_name_and_lines_in_one_segment() -> None:
    with room("ana") as (server, (ana,)), client_of(server) as bob:
        bob.sendall(b"bob\nhello\n")
        assert [ana.recv_line(), ana.recv_line()] == [b"* bob has joined.\n", b"bob: hello\n"]
        assert [bob.recv_line(), bob.recv_line()] == [WELCOME, b"* You are bob. Here: ana.\n"]


@pytest.mark.parametrize("name", ["", " ", "x" * 33, "\x00", "a\tb", "bell\x07"])
def test_a_name_that_is_none(name: str) -> None:
    with room("ana") as (server, (ana,)), client_of(server) as bob:
        assert bob.recv_line() == WELCOME
        bob.sendall(name.encode() + b"\n")
        assert bob.recv_line().startswith(b"* A name has 1 to 32 characters")
        bob.sendall("Jürgen ÄÖÜ\n".encode())
        assert bob.recv_line() == "* You are Jürgen ÄÖÜ. Here: ana.\n".encode()
        assert ana.recv_line() == "* Jürgen ÄÖÜ has joined.\n".encode()
        assert [client.name for client in server.clients] == ["ana", "Jürgen ÄÖÜ"]


def test_a_name_is_one_guests_until_it_leaves() -> None:
    with room("ana") as (server, (ana,)), client_of(server) as bob:
        assert bob.recv_line() == WELCOME
        bob.sendall(b" ana \n")
        assert bob.recv_line() == b"* ana is here already. Send another name.\n"
        bob.sendall(b"bob\n")
        assert bob.recv_line() == b"* You are bob. Here: ana.\n"
        assert ana.recv_line() == b"* bob has joined.\n"
        ana.close()
        assert bob.recv_line() == b"* ana has left.\n"
        with client_of(server) as again:
            enter(again, "ana", "bob")


def test_bytes_that_are_no_text_pass_unchanged() -> None:
    with room("ana", "bob") as (_, (ana, bob)):
        line = bytes(byte for byte in range(256) if byte != 10)
        ana.sendall(line + b"\n")
        assert bob.recv_line() == b"ana: " + line + b"\n"


def test_who_came_without_a_name_leaves_without_a_word() -> None:
    with room("ana") as (server, (ana,)):
        with client_of(server) as shy:
            assert shy.recv_line() == WELCOME
        eventually(lambda: len(server.clients) == 1)
        with client_of(server) as bob:
            enter(bob, "bob", "ana")
            assert ana.recv_line() == b"* bob has joined.\n"


def test_a_line_too_long_drops_its_sender_alone() -> None:
    with room("ana", "bob") as (server, (ana, bob)):
        longest = b"x" * 65535 + b"\n"
        bob.sendall(longest)
        assert ana.recv_until(b"\n", max_bytes=100_000) == b"bob: " + longest
        with contextlib.suppress(ConnectionError):
            bob.sendall(b"x" * 65537)
        (dropped,) = eventually(lambda: server.dropped)
        assert (dropped.name, dropped.peer_addr) == ("bob", bob.local_addr)
        assert "65536 bytes" in dropped.reason
        eventually(lambda: len(server.clients) == 1)


def test_who_does_not_read_is_dropped_and_the_others_get_every_line() -> None:
    page = [b"%d %s\n" % (number, b"x" * 990) for number in range(100)]

    def hear(guest: sl.Connection) -> list[bytes]:
        heard = [guest.recv_line() for _ in page]
        if LEFT in heard:
            heard.remove(LEFT)
            heard.append(guest.recv_line())
        return heard

    with room("ana", "bob", "cyd") as (server, (ana, bob, cyd)), client_of(server, recv_buffer=SMALL) as stubborn:
        enter(stubborn, "dan", "ana, bob, cyd")
        for guest in (ana, bob, cyd):
            assert guest.recv_line() == b"* dan has joined.\n"
        pages = 0
        while not server.dropped:
            ana.sendall(b"".join(page))
            for guest in (bob, cyd):
                assert hear(guest) == [b"ana: " + line for line in page]
            pages += 1
            assert pages < 500
        (dropped,) = server.dropped
        assert (dropped.name, dropped.peer_addr) == ("dan", stubborn.local_addr)
        assert dropped.unsent > 1 << 20
        ana.sendall(b"still here\n")
        for guest in (bob, cyd):
            line = guest.recv_line()
            assert (guest.recv_line() if line == LEFT else line) == b"ana: still here\n"
        assert ana.recv_line() == LEFT


def test_all_hear_the_same_order(in_thread: InThread) -> None:
    """Lines of several speakers come in one order for all, each without her own."""
    names = ["ana", "bob", "cyd", "dan", "eve"]
    count = 200
    with room(*names) as (_, guests):

        def speak(guest: sl.Connection, name: str) -> None:
            for number in range(count):
                guest.sendall(b"%s %d\n" % (name.encode(), number))

        def hear(guest: sl.Connection) -> list[bytes]:
            return [guest.recv_line() for _ in range(count * (len(names) - 1))]

        hearing = [in_thread(hear, guest) for guest in guests]
        speaking = [in_thread(speak, guest, name) for guest, name in zip(guests, names, strict=True)]
        heard = dict(zip(names, (each.result(DEADLINE) for each in hearing), strict=True))
        for each in speaking:
            each.result(DEADLINE)

    for name, lines in heard.items():
        assert said_by(name, lines) == []
        for other in set(names) - {name}:
            assert said_by(other, lines) == [f"{other}: {other} {number}\n".encode() for number in range(count)]
            assert said_by(other, lines, but=True) == said_by(name, heard[other], but=True), "of the three others"


def said_by(name: str, lines: list[bytes], but: bool = False) -> list[bytes]:
    """The lines of one speaker, or of all but one."""
    return [line for line in lines if line.startswith(f"{name}: ".encode()) is not but]


class Model:
    """What a room should tell each guest."""

    def __init__(self) -> None:
        self.guests: dict[int, str | None] = {}
        self.told: dict[int, list[bytes]] = {}

    def names(self) -> list[str]:
        return sorted(name for name in self.guests.values() if name)

    def come(self, who: int) -> None:
        self.guests[who] = None
        self.told[who] = [WELCOME]

    def others(self, who: int, line: str) -> None:
        for guest in self.guests:
            if guest != who:
                self.told[guest].append(line.encode())

    def say(self, who: int, line: str) -> None:
        name = self.guests[who]
        if name is not None:
            if line:
                self.others(who, f"{name}: {line}\n")
        elif not line:
            self.told[who].append(b"* A name has 1 to 32 characters, all of them visible. Send another.\n")
        elif line in self.names():
            self.told[who].append(f"* {line} is here already. Send another name.\n".encode())
        else:
            here = f"Here: {', '.join(self.names())}" if self.names() else "Nobody else is here yet"
            self.told[who].append(f"* You are {line}. {here}.\n".encode())
            self.guests[who] = line
            self.others(who, f"* {line} has joined.\n")

    def go(self, who: int) -> None:
        name = self.guests.pop(who)
        if name is not None:
            self.others(who, f"* {name} has left.\n")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "say", "say", "say", "go"]),
        st.integers(0, 4),
        st.sampled_from(["", "a", "b", "c", "hi"]),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(steps=STEPS, cut=st.integers(1, 3))
def test_a_room_does_what_its_model_does(steps: list[tuple[str, int, str]], cut: int) -> None:
    """One thing after the other: what each guest hears is known to the byte."""
    model, clients = Model(), dict[int, sl.Connection]()
    with sl.Server(sl.Chat()) as server, ExitStack() as stack:

        def check() -> None:
            for who in model.guests:
                wanted = b"".join(model.told[who])
                assert clients[who].recv_exactly(len(wanted)) == wanted
                model.told[who] = []

        for what, who, line in steps:
            if what == "come" and who not in model.guests:
                clients[who] = stack.enter_context(client_of(server))
                model.come(who)
            elif what == "say" and who in model.guests:
                text = line.encode() + b"\n"
                clients[who].sendall(text[:cut])
                clients[who].sendall(text[cut:])
                model.say(who, line)
            elif what == "go" and who in model.guests:
                clients[who].close()
                model.go(who)
                eventually(lambda: len(server.clients) == len(model.guests))
            check()
        for client in clients.values():
            assert client.closed or client.input_buffer.rust + (client.input_buffer.kernel or 0) == 0
