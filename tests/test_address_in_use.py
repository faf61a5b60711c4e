"""One address and port has one listener. The second one fails, and the error tells who has it: a variable and its line, a program and
its process, or what is left of a connection. `replace=True` takes over what is this program's own, and nothing else.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from network import free_port, in_private_network, need_ipv6
from program import Program
from refusals import refused

HOST = "127.0.0.1"
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's table of holders is read")


def in_use(*words: str, **asked: Any) -> str:
    """What the error of a listener that is one too many says."""
    with pytest.raises(OSError, match="Address already in use") as caught:
        sl.listen(**asked).close()
    assert caught.value.errno == errno.EADDRINUSE
    said = str(caught.value)
    for word in words:
        assert word in said
    return said


def script(scratch: Path, code: str) -> list[str]:
    """Runs a student's program, chat.py, and returns the lines it prints."""
    (scratch / "chat.py").write_text(code)
    command = [sys.executable, "-W", "ignore", "chat.py"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# Held by this program


def test_the_variable_and_its_line_are_named(tmp_path: Path) -> None:
    code = """
import socklens as sl
server = sl.listen()
for host in ("127.0.0.1", "0.0.0.0"):
    try:
        sl.listen(host, server.local_addr.port)
    except OSError as error:
        print(error)
print(server.local_addr, server.state)
"""
    same, wildcard, left = script(tmp_path, code)
    for said in (same, wildcard):
        assert "`server`" in said
        assert "chat.py, line 3" in said
        assert "server.close()" in said
        assert "choose another port" in said
    assert left.endswith(" LISTEN")


def test_a_listener_without_a_variable(tmp_path: Path) -> None:
    code = """
import socklens as sl
def serve():
    return sl.listen()
servers = [serve()]
try:
    sl.listen(port=servers[0].local_addr.port)
except OSError as error:
    print(error)
print(sl.listen(port=servers[0].local_addr.port, replace=True))
"""
    said, notice, shown = script(tmp_path, code)
    assert "chat.py, line 4" in said
    assert "replace=True" in said
    assert "closed the earlier listener on 127.0.0.1:" in notice
    assert shown.startswith("<Listener 127.0.0.1:")


def test_the_second_of_two_wildcards(listener: sl.Listener) -> None:
    port = listener.local_addr.port
    in_use(f"listen on 0.0.0.0:{port}", "This program has it", host="0.0.0.0", port=port)
    with sl.listen("0.0.0.0", 0) as every:
        in_use("listen on 127.0.0.1:", "This program has it", port=every.local_addr.port)


def test_other_addresses_of_the_same_port_are_free(listener: sl.Listener) -> None:
    with sl.listen("127.0.0.2", listener.local_addr.port) as other:
        assert other.local_addr.port == listener.local_addr.port


def test_a_socket_that_is_not_of_this_package() -> None:
    with socket.create_server((HOST, 0)) as plain:
        port = plain.getsockname()[1]
        in_use(f"process {os.getpid()}", "did not make", "another port", port=port)
        in_use(f"process {os.getpid()}", port=port, replace=True)
        with socket.create_connection((HOST, port)):
            pass


def test_a_socket_that_is_bound_and_does_not_listen() -> None:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        in_use("without listening", "another port", port=bound.getsockname()[1])


def test_a_connection_that_has_the_port() -> None:
    port = free_port()
    with socket.create_server((HOST, 0)) as server:
        target = server.getsockname()
        with socket.create_connection(target, source_address=(HOST, port)):
            words = [f"{HOST}:{port} -> {HOST}:{target[1]}", "of this program", "ESTABLISHED"]
            in_use(*words, "another port", port=port)


def test_connections_of_a_closed_listener() -> None:
    listener = sl.listen(port=free_port())
    with sl.connect(listener.local_addr, timeout=10) as client, listener.accept(timeout=10) as server:
        listener.close()
        port = server.local_addr.port
        in_use(f"{server.local_addr} -> {client.local_addr}", "ESTABLISHED", port=port, reuse_addr=False)
        with sl.listen(port=port) as again:
            assert again.reuse_addr, "with it, live connections of the port are no hindrance"


# Held by another program


def test_another_program_is_named() -> None:
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with Program(sys.executable, "-c", code) as other:
        port = int(other.wait_for(r"(\d+)\n", stdout=True)[1])
        pid = other._process.pid
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        for replace in (False, True):
            said = in_use(f"{name} (process {pid})", f"{HOST}:{port}", "another port", port=port, replace=replace)
            assert "This program" not in said
        with sl.listen() as target:
            refused(
                OSError, [f"connect from {HOST}:{port}", str(pid)], sl.connect, target.local_addr, source=(HOST, port)
            )
        other.end_input()
        assert other.ended() == 0


# TIME_WAIT


def rested(**asked: Any) -> tuple[int, sl.Address]:
    """A port of which an old connection rests in TIME_WAIT, because its server closed first; and that connection's other end."""
    with sl.listen(port=free_port(), **asked) as listener, sl.connect(listener.local_addr, timeout=10) as client:
        server = listener.accept(timeout=10)
        server.close()
        assert client.recv(timeout=10) == b""
        client.close()
        eventually(lambda: server.state == sl.TcpState.TIME_WAIT)
        return listener.local_addr.port, client.local_addr


def test_time_wait_shows_without_reuse_addr_and_does_not_hinder_with_it() -> None:
    port, peer = rested()
    in_use("TIME_WAIT", str(peer), "reuse_addr", "a minute", port=port, reuse_addr=False)
    with sl.listen(port=port) as again:
        assert again.reuse_addr


def test_reuse_addr_is_not_advised_where_it_was_on() -> None:
    # SO_REUSEADDR helps only if the socket that rests had it too (inet_csk_get_port, sk_reuse of both).
    port, peer = rested(reuse_addr=False)
    said = in_use("TIME_WAIT", str(peer), port=port, reuse_addr=True)
    assert "leave reuse_addr on" not in said, "it was on"


def test_no_port_is_left(tmp_path: Path) -> None:
    code = """
    only = sl.listen()
    print(outcome(sl.listen))
    print(outcome(sl.connect, only.local_addr, source="127.0.0.1"))
    """
    for said in in_private_network(code, tmp_path, ports="45000 45000"):
        assert said.startswith("OSError: [Errno 98]")
        assert "bound it without listening" not in said, "nobody has port 0"
        assert "free" in said or "left" in said, "the reason: there is no port to choose any more"


# Replacing


def test_replace_closes_and_tells(capsys: pytest.CaptureFixture[str]) -> None:
    first = sl.listen(port=free_port())
    made = first.created_at
    address = first.local_addr
    with sl.listen(*address, replace=True) as second:
        assert first.closed
        assert second.local_addr == address
        with sl.connect(address, timeout=10) as client, second.accept(timeout=10) as server:
            assert server.peer_addr == client.local_addr
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    for word in (str(address), made, "replaces"):
        assert word in told


def test_replace_leaves_accepted_connections_alone(capsys: pytest.CaptureFixture[str]) -> None:
    first = sl.listen(port=free_port())
    client, server = sl.connect(first.local_addr, timeout=10), first.accept(timeout=10)
    with client, server, sl.listen(*first.local_addr, replace=True):
        client.sendall(b"still here")
        assert server.recv_exactly(10, timeout=10) == b"still here"
    assert capsys.readouterr().out


def test_replace_knows_an_address_by_all_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    first = sl.listen("127.1", free_port())  # as inet_aton(3) understands it
    assert first.local_addr.host == HOST
    with sl.listen(HOST, first.local_addr.port, replace=True) as second:
        assert first.closed
        with sl.listen("127.1", second.local_addr.port, replace=True):
            assert second.closed
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize("asked", [{"backlog": -1}, {"recv_buffer": 0}, {"dual_stack": True}], ids=str)
def test_a_call_that_is_refused_replaces_nothing(
    listener: sl.Listener, asked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(ValueError, list(asked), sl.listen, *listener.local_addr, replace=True, **asked)
    assert not listener.closed
    assert capsys.readouterr().out == ""


def test_replace_where_there_is_nothing_to_replace(capsys: pytest.CaptureFixture[str]) -> None:
    with sl.listen(replace=True) as one, sl.listen(replace=True) as two:
        assert one.local_addr != two.local_addr
        assert not one.closed
    assert capsys.readouterr().out == ""


def test_replace_takes_the_wildcard_too(capsys: pytest.CaptureFixture[str]) -> None:
    every = sl.listen("0.0.0.0", free_port())
    port = every.local_addr.port
    with sl.listen(HOST, port, replace=True) as one:
        assert every.closed
        with sl.listen("0.0.0.0", port, replace=True):
            assert one.closed
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [("::", HOST), (HOST, "::"), ("::1", "0.0.0.0"), ("0.0.0.0", "::1"), ("127.0.0.2", HOST), ("::1", HOST)],
)
def test_replace_leaves_alone_what_is_not_in_the_way(
    first: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    need_ipv6()
    with sl.listen(first, free_port()) as one, sl.listen(second, one.local_addr.port, replace=True) as two:
        assert not one.closed, "both addresses can be had at once"
        for listener in (one, two):
            with sl.connect(listener.local_addr, timeout=10), listener.accept(timeout=10):
                pass
    assert capsys.readouterr().out == ""


def test_replace_takes_a_dual_stack_listener_from_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    need_ipv6()
    for host in (HOST, "::1", "0.0.0.0"):
        both = sl.listen("::", free_port(), dual_stack=True)
        in_use("This program has it", host=host, port=both.local_addr.port)
        with sl.listen(host, both.local_addr.port, replace=True) as one:
            assert both.closed
            in_use("This program has it", host="::", port=one.local_addr.port, dual_stack=True)
    assert capsys.readouterr().out.count("\n") == 3
