"""`socklens listen` and `socklens connect` carry bytes unchanged between each other and other programs, tell what the
kernel sees, and end as they should.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import sys
from collections.abc import Iterator

import pytest
from helpers import eventually, need
from program import DEADLINE, SOCKLENS, Program
from terminal import COLUMNS, Terminal, needs_terminal

EVERY_BYTE = bytes(range(256)) * 400


def listening(program: Program) -> str:
    """The HOST:PORT that `socklens listen` with port 0 got."""
    return program.wait_for(r"listening on (\S+:[1-9]\d*)")[1]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        yield server


def at(server: socket.socket) -> str:
    return "{}:{}".format(*server.getsockname())


def test_two_of_ours_talk_and_tell_both_ends_addresses() -> None:
    with Program(*SOCKLENS, "listen", "127.0.0.1:0") as a:
        address = listening(a)
        with Program(*SOCKLENS, "connect", address) as b:
            mine = b.wait_for(rf"local (127\.0\.0\.1:\d+), peer {address}")[1]
            a.wait_for(rf"local {address}, peer {mine}")
            b.feed(b"hello A\n")
            a.wait_for("hello A\n", stdout=True)
            a.feed(b"hello B\n")
            b.wait_for("hello B\n", stdout=True)
            b.wait_for(r"(?m)sent 8 B: ESTABLISHED  in \d+( of [\d,]+)?  out \d+( of [\d,]+)?  sent 8  taken \d+$")
            b.wait_for(r"received 8 B: ESTABLISHED")
            b.end_input()
            a.wait_for(rf"{mine} finished \(FIN\)")
            a.end_input()
            assert (a.ended(), b.ended()) == (0, 0)
    assert (bytes(a.out), bytes(b.out)) == (b"hello A\n", b"hello B\n")


def test_bytes_pass_unchanged_through_pipes_in_both_directions() -> None:
    with Program(*SOCKLENS, "listen", "127.0.0.1:0") as a:
        a.feed(b"from a: ")
        with Program(*SOCKLENS, "connect", listening(a)) as b:
            b.feed(EVERY_BYTE)
            b.end_input()
            a.feed(EVERY_BYTE)
            a.end_input()
            assert (a.ended(), b.ended()) == (0, 0)
    assert bytes(a.out) == EVERY_BYTE
    assert bytes(b.out) == b"from a: " + EVERY_BYTE


def test_a_listener_whose_stdin_has_ended_serves_its_first_client() -> None:
    with Program(*SOCKLENS, "listen", "127.0.0.1:0") as a:
        a.feed(b"said before anyone came")
        a.end_input()
        host, port = listening(a).split(":")
        with socket.create_connection((host, int(port)), DEADLINE) as client, client.makefile("rb") as stream:
            assert stream.read() == b"said before anyone came"
            client.sendall(b"answer")
        assert a.ended() == 0
    assert bytes(a.out) == b"answer"


def test_typed_lines_go_to_every_client_and_each_ones_data_is_named() -> None:
    with Program(*SOCKLENS, "listen", "127.0.0.1:0") as a:
        host, port = listening(a).split(":")
        clients = [socket.create_connection((host, int(port)), DEADLINE) for _ in range(3)]
        names = ["{}:{}".format(*client.getsockname()) for client in clients]
        for name in names:
            a.wait_for(rf"{name} connected")
        a.feed(b"to all\n")
        for client, name in zip(clients, names, strict=True):
            assert client.recv(100) == b"to all\n"
            client.sendall(b"it is I\n")
            a.wait_for(rf"(?m)^{name}\| it is I$", stdout=True)
        a.end_input()
        for client in clients:
            assert client.recv(100) == b""
            client.close()
        assert a.ended() == 0


def test_a_peer_that_finished_still_gets_all_that_a_pipe_brings(server: socket.socket) -> None:
    with Program(*SOCKLENS, "connect", at(server)) as b, server.accept()[0] as peer:
        peer.shutdown(socket.SHUT_WR)
        b.wait_for(r"the peer finished \(FIN\): CLOSE_WAIT")
        b.feed(b"late")
        b.end_input()
        with peer.makefile("rb") as stream:
            assert stream.read() == b"late"
        assert b.ended() == 0


def test_bytes_that_cannot_be_delivered_are_a_failure(server: socket.socket) -> None:
    with Program(*SOCKLENS, "connect", at(server)) as b:
        server.accept()[0].close()
        b.wait_for(r"the peer finished \(FIN\)")
        with contextlib.suppress(BrokenPipeError):  # it need not read on once a send has failed
            for _ in range(100):
                b.feed(EVERY_BYTE)
        assert b.ended() == 1
    assert re.search(r"(?m)^socklens: ", b.err.decode())


def test_a_reset_is_told_and_is_a_failure(server: socket.socket) -> None:
    with Program(*SOCKLENS, "connect", at(server)) as b:
        peer = server.accept()[0]
        b.wait_for("connected")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert b.ended() == 1
    told = b.err.decode()
    assert re.search(r"(?m)^socklens: .*reset", told)
    assert told.index("socklens: ") < told.index("connection closed")  # the reason first
    assert "Traceback" not in told


@pytest.mark.parametrize("words", [["127.0.0.1:{}"], ["127.0.0.1", "{}"], ["localhost", "{}"], ["{}"], [":{}"]])
def test_an_endpoint_to_connect_to_is_typed_as_one_word_or_two(server: socket.socket, words: list[str]) -> None:
    port = server.getsockname()[1]
    with Program(*SOCKLENS, "connect", *(word.format(port) for word in words)) as b, server.accept()[0] as peer:
        b.wait_for(rf"connected: local \S+, peer 127\.0\.0\.1:{port}\b")
        b.end_input()
        peer.shutdown(socket.SHUT_WR)
        assert b.ended() == 0


@pytest.mark.parametrize("words", [["127.0.0.1:0"], ["127.0.0.1", "0"], ["127.0.0.1"], ["0"], [":0"]])
def test_an_endpoint_to_listen_on_is_on_this_machine_unless_another_is_typed(words: list[str]) -> None:
    with Program(*SOCKLENS, "listen", *words) as a:
        assert listening(a).startswith("127.0.0.1:")


def test_a_client_that_resets_does_not_stop_the_others() -> None:
    with Program(*SOCKLENS, "listen", "127.0.0.1:0") as a:
        host, port = listening(a).split(":")
        good, bad = (socket.create_connection((host, int(port)), DEADLINE) for _ in range(2))
        name = "{}:{}".format(*bad.getsockname())
        a.wait_for(rf"{name} connected")
        bad.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bad.close()
        a.wait_for(rf"{name}: .*reset")
        with good:
            a.feed(b"still here\n")
            assert good.recv(100) == b"still here\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["connect", "{free}"], 1, "refused"),
        (["listen", "{taken}"], 1, "in use"),
        (["connect", "127.0.0.1:http"], 1, "port"),
        (["connect", "127.0.0.1:65536"], 1, "65536"),
        (["connect", "127.0.0.1"], 1, ": socklens connect 127.0.0.1:6666"),
        (["connect", "::1"], 1, ": socklens connect [::1]:6666"),
        (["connect", "127.0.0.1", "http"], 1, "socklens connect 127.0.0.1:6666"),
        (["listen", ":http"], 1, "socklens listen 127.0.0.1:6666"),
        (["listen", "65536"], 1, "65536"),
        (["connect", "a", "b", "c"], 2, "c"),
        (["listen", "no such host:0"], 1, "no such host"),
        (["connect"], 2, "HOST:PORT"),
        (["dance"], 2, "dance"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(server: socket.socket, arguments: list[str], status: int, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        free = at(gone)
    with Program(*SOCKLENS, *(word.format(free=free, taken=at(server)) for word in arguments)) as program:
        assert program.ended() == status
    lines = program.err.decode().splitlines()
    assert said in lines[-1]
    assert lines[-1].startswith("socklens")
    assert len(lines) == (2 if status == 2 else 1)
    assert not program.out


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one child alone")
def test_ctrl_c_ends_both_without_a_traceback() -> None:
    with Program(*SOCKLENS, "listen", "127.0.0.1:0") as a, Program(*SOCKLENS, "connect", listening(a)) as b:
        b.wait_for("connected")
        a.wait_for("connected")
        b.interrupt()
        assert b.ended() == 130
        a.wait_for(r"finished \(FIN\)|reset")
        a.interrupt()
        assert a.ended() == 130
    assert "Traceback" not in (a.err + b.err).decode()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_never_gets_a_control_character_from_a_peer(server: socket.socket) -> None:
    import pty

    mine, theirs = pty.openpty()
    try:
        with Program(*SOCKLENS, "connect", at(server), stdout=theirs) as b, server.accept()[0] as peer:
            shown = bytearray()

            def shows(text: str) -> bool:
                shown.extend(os.read(mine, 65536))
                return text.encode() in shown

            peer.sendall(b"\x1b[31mred\x07 caf\xc3")
            eventually(lambda: shows(r"\x1b[31mred\x07 caf"))
            peer.sendall(b"\xa9\xff\r\n")  # the second half of the é, and a byte that is no UTF-8
            eventually(lambda: shows(r"é\xff\r"))
            b.end_input()
            peer.shutdown(socket.SHUT_WR)
            assert b.ended() == 0
    finally:
        os.close(mine)
        os.close(theirs)
    assert bytes(shown).replace(b"\r\n", b"\n") == rb"\x1b[31mred\x07 caf" + "é".encode() + rb"\xff\r" + b"\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_someone_at_a_keyboard_is_told_when_nobody_hears() -> None:
    import pty

    mine, theirs = pty.openpty()
    try:
        with Program(*SOCKLENS, "listen", "127.0.0.1:0", stdin=theirs) as a:
            host, port = listening(a).split(":")
            os.write(mine, b"anyone?\n")
            a.wait_for("nobody is connected: not sent")
            with socket.create_connection((host, int(port)), DEADLINE) as client:
                a.wait_for("connected: local")
                os.write(mine, b"welcome\n")
                assert client.recv(100) == b"welcome\n"
            a.wait_for(r"finished \(FIN\)")
            a.wait_for(r"closed")  # at once: nobody types on for a client that has finished
            os.write(mine, b"\x04")  # Ctrl-D
            assert a.ended() == 0
    finally:
        os.close(mine)
        os.close(theirs)


@needs_terminal
def test_a_message_without_a_newline_is_marked_on_a_terminal(server: socket.socket) -> None:
    with Terminal(*SOCKLENS, "connect", at(server), NO_COLOR="1") as b, server.accept()[0] as peer:
        peer.sendall(b"with\n")
        b.wait_for(r"received 5 B")
        peer.sendall(b"without")
        b.wait_for(r"received 7 B")
        peer.sendall(b"\\(no newline)\n")  # which a peer cannot fake
        b.wait_for(r"received 14 B")
        peer.shutdown(socket.SHUT_WR)
        assert b.ended() == 0
    rows = re.sub(r".*\r(\x1b\[K)?", "", b.shown).splitlines()
    assert [row for row in rows if not row.startswith("·")] == ["with", r"without\(no newline)", r"\\(no newline)"]


@needs_terminal
def test_what_is_being_typed_stays_when_a_message_arrives(server: socket.socket) -> None:
    with Terminal(*SOCKLENS, "connect", at(server)) as b, server.accept()[0] as peer:
        b.wait_for(r"ESTABLISHED.*\n")
        b.types("half a li")
        peer.sendall(b"interrupted\n")
        # So many spaces reach the next line from anywhere but the start of this one.
        b.wait_for(rf"half a li {{{COLUMNS}}}\r\x1b\[Kinterrupted\n")
        b.wait_for(r"received 12 B")
        b.types("ne\n")
        assert peer.recv(100) == b"half a line\n"
        peer.shutdown(socket.SHUT_WR)
        assert b.ended() == 0


@needs_terminal
def test_a_reset_is_explained_before_the_end_on_a_terminal(server: socket.socket) -> None:
    with Terminal(*SOCKLENS, "connect", at(server)) as b:
        peer = server.accept()[0]
        b.wait_for("connected")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert b.ended() == 1
    shown = re.sub(r".*\r(\x1b\[K)?", "", b.shown)
    assert re.search(r"(?s)\nsocklens: .*reset.*\n.*connection closed", shown)
    assert max(map(len, shown.splitlines())) <= COLUMNS + len("\x1b[2m\x1b[0m")


def test_nc_connects_to_us() -> None:
    nc = need("nc")
    with Program(*SOCKLENS, "listen", "127.0.0.1:0") as a:
        host, port = listening(a).split(":")
        with Program(nc, host, port) as b:
            b.feed(b"hello from nc\n")
            a.wait_for("hello from nc\n", stdout=True)
            a.feed(b"hello to nc\n")
            b.wait_for("hello to nc\n", stdout=True)
            a.end_input()
            b.end_input()
            assert a.ended() == 0


def test_we_connect_to_nc(server: socket.socket) -> None:
    nc = need("nc")
    host, port = server.getsockname()
    server.close()
    with Program(nc, "-v", "-l", host, str(port)) as a:
        a.wait_for("istening")
        with Program(*SOCKLENS, "connect", f"{host}:{port}") as b:
            b.feed(b"hello nc\n")
            a.wait_for("hello nc\n", stdout=True)
            a.feed(b"hello from nc\n")
            b.wait_for("hello from nc\n", stdout=True)
            b.end_input()
            a.end_input()
            assert b.ended() == 0
