"""Endpoints: an Address is the tuple that `socket` uses and prints as people write it; every way of giving one means the same; what
is shown is what the kernel has.
"""

from __future__ import annotations

import copy
import os
import pickle
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from network import free_port, in_private_network, need_ipv6
from refusals import refused
from socklens import Address

HOST = "127.0.0.1"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has every 127.x.y.z")


def kernels(conn: sl.Connection) -> tuple[Any, Any]:
    """The endpoints by getsockname(2) and getpeername(2), asked by the standard library."""
    with socket.socket(fileno=os.dup(conn.fileno())) as sock:
        return sock.getsockname()[:2], sock.getpeername()[:2]


# The value


def test_an_address_is_a_tuple() -> None:
    address = Address("127.0.0.1", 6666)
    host, port = address
    assert (host, port) == (address.host, address.port) == (address[0], address[1]) == ("127.0.0.1", 6666)
    assert address == ("127.0.0.1", 6666)
    assert {address: 1}["127.0.0.1", 6666] == 1
    assert len(address) == 2
    assert sorted([Address("127.0.0.2", 1), address]) == [address, ("127.0.0.2", 1)]
    assert Address._fields == ("host", "port")
    frozen: Any = address
    with pytest.raises(AttributeError):
        frozen.port = 80


def test_an_address_is_copied_whole() -> None:
    address = Address("::1", 6666)
    copies = [copy.copy(address), copy.deepcopy(address), eval(repr(address))]
    copies += [pickle.loads(pickle.dumps(address, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in copies:
        assert again == address
        assert type(again) is Address


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("127.0.0.1", 6666, "127.0.0.1:6666"),
        ("::1", 80, "[::1]:80"),
        ("fe80::1%2", 80, "[fe80::1%2]:80"),
        ("::ffff:127.0.0.1", 1, "[::ffff:127.0.0.1]:1"),
    ],
)
def test_an_address_prints_as_people_write_it(host: str, port: int, text: str) -> None:
    address = Address(host, port)
    assert str(address) == f"{address}" == text
    assert f"{address:>30}" == text.rjust(30)
    assert repr(address) == f"Address({host!r}, {port})"


def test_an_address_can_be_matched() -> None:
    match Address("127.0.0.1", 6666):
        case Address(host, 6666):
            assert host == "127.0.0.1"
        case _:
            pytest.fail("it did not match by position")
    match Address("127.0.0.1", 6666):
        case Address(port=port):
            assert port == 6666


# Ways of giving one


def test_every_way_to_say_where_to_connect(listener: sl.Listener) -> None:
    host, port = listener.local_addr
    ways: list[tuple[Any, ...]] = [
        (host, port),
        (f"{host}:{port}",),
        ((host, port),),
        ((host, port, 0, 0),),
        (Address(host, port),),
        (listener.local_addr,),
        ("localhost", port),
        (f"localhost:{port}",),
    ]
    for way in ways:
        with sl.connect(*way, timeout=10) as client, listener.accept(timeout=10) as server:
            assert client.peer_addr == server.local_addr == listener.local_addr
            assert client.local_addr == server.peer_addr
            assert type(client.peer_addr) is type(server.peer_addr) is Address
            assert kernels(client) == (client.local_addr, client.peer_addr) == kernels(server)[::-1]
    with sl.connect(host, port=port, timeout=10), listener.accept(timeout=10):
        assert listener.accepted == len(ways) + 1


@pytest.mark.parametrize(
    "way",
    [(), (HOST,), (HOST, 0), ("127.0.0.1:0",), ((HOST, 0),), (Address(HOST, 0),), ("localhost:0",), ((HOST, 0, 0, 0),)],
    ids=str,
)
def test_every_way_to_say_where_to_listen(way: tuple[Any, ...]) -> None:
    with sl.listen(*way) as listener:
        assert listener.local_addr.host in {HOST, "::1"}
        assert 1 <= listener.local_addr.port <= 65535
        assert type(listener.local_addr) is Address
        with socket.socket(fileno=os.dup(listener.fileno())) as sock:
            assert sock.getsockname()[:2] == listener.local_addr
        with sl.connect(listener.local_addr, timeout=10), listener.accept(timeout=10):
            pass


def test_a_listener_is_on_loopback_unless_another_host_is_written_out(listener: sl.Listener) -> None:
    assert listener.local_addr.host == HOST


def test_all_interfaces() -> None:
    with sl.listen("0.0.0.0", 0) as listener:
        assert listener.local_addr.host == "0.0.0.0"
        for host in ("0.0.0.0", HOST):
            with (
                sl.connect(host, listener.local_addr.port, timeout=10) as client,
                listener.accept(timeout=10) as server,
            ):
                assert client.peer_addr == (HOST, listener.local_addr.port), "what the kernel made of 0.0.0.0"
                assert kernels(client) == (client.local_addr, client.peer_addr)
                assert server.local_addr == client.peer_addr


# IPv6


def test_ipv6() -> None:
    need_ipv6()
    with sl.listen("::1") as listener:
        port = listener.local_addr.port
        ways: list[tuple[Any, ...]] = [("::1", port), ("[::1]", port), (f"[::1]:{port}",), (("::1", port, 0, 0),)]
        for way in ways:
            with sl.connect(*way, timeout=10) as client, listener.accept(timeout=10) as server:
                assert client.peer_addr == server.local_addr == ("::1", port)
                assert f"[::1]:{client.local_addr.port} -> [::1]:{port} ESTABLISHED" in repr(client)
                client.sendall(b"six")
                assert server.recv_exactly(3, timeout=10) == b"six"


def test_a_dual_stack_listener_serves_both_families() -> None:
    need_ipv6()
    with sl.listen("::", dual_stack=True) as listener:
        assert listener.dual_stack
        for host, seen in (("::1", "::1"), (HOST, "::ffff:127.0.0.1")):
            with (
                sl.connect(host, listener.local_addr.port, timeout=10) as client,
                listener.accept(timeout=10) as server,
            ):
                assert client.peer_addr.host == host
                assert server.peer_addr == (seen, client.local_addr.port)
                assert kernels(server) == (server.local_addr, server.peer_addr)


def test_an_ipv6_listener_leaves_ipv4_alone_unless_asked() -> None:
    need_ipv6()
    with sl.listen("::") as six:
        assert not six.dual_stack
        refused(ConnectionRefusedError, ["nothing listens"], sl.connect, HOST, six.local_addr.port, timeout=10)
        with sl.listen(HOST, six.local_addr.port) as four:
            assert not four.dual_stack
    for host in (HOST, "::1"):
        refused(ValueError, ["dual_stack", '"::"', host], sl.listen, host, dual_stack=True)


def test_a_link_local_address_without_its_zone() -> None:
    need_ipv6()
    # RFC 4007: fe80::1 is on every link; only fe80::1%eth0 says on which.
    for opening in (sl.connect, sl.listen):
        said = refused((OSError, ValueError), ["fe80::1", "%"], opening, "fe80::1", 9)
        assert "loopback" not in said


# Names with several addresses


@linux
def test_every_address_of_a_name_is_tried(tmp_path: Path) -> None:
    hosts = "127.0.0.1 localhost\n::1 localhost\n127.0.0.101 lecture\n127.0.0.110 lecture\n"
    told, other, refusal, lecture = in_private_network(
        """
        with sl.listen("127.0.0.1", 6666), sl.listen("127.0.0.110", 6666):
            print(sl.connect("localhost", 6666).peer_addr)
            print(sl.connect("lecture", 6666).peer_addr)
        print(outcome(sl.connect, "localhost", 6666))
        print(outcome(sl.connect, "lecture:6666"))
        """,
        tmp_path,
        hosts=hosts,
    )
    assert (told, other) == ("127.0.0.1:6666", "127.0.0.110:6666")
    for said, name, addresses in (
        (refusal, "localhost", ("[::1]:6666", "127.0.0.1:6666")),
        (lecture, "lecture", ("127.0.0.101:6666", "127.0.0.110:6666")),
    ):
        assert said.startswith("ConnectionRefusedError: [Errno 111]")
        assert f"{name}:6666 has 2 addresses" in said
        assert said.count("Connection refused") == 2
        for address in addresses:
            assert address in said


@linux
def test_an_address_that_a_source_cannot_reach_does_not_hide_the_refusal_of_the_other(tmp_path: Path) -> None:
    for source, tried, skipped in (("::1", "[::1]:6666", HOST), (HOST, "127.0.0.1:6666", "[::1]:6666")):
        (said,) = in_private_network(
            f'print(outcome(sl.connect, "localhost", 6666, source="{source}"))',
            tmp_path,
            hosts="127.0.0.1 localhost\n::1 localhost\n",
        )
        assert said.startswith("ConnectionRefusedError: "), said
        assert tried in said
        assert skipped in said
        assert "other address family" in said, "the outcome of the address that was left out"


@linux
def test_a_name_can_be_listened_on_once(tmp_path: Path) -> None:
    code = """
    first = sl.listen("localhost", 6666)
    print(outcome(sl.listen, "localhost", 6666))
    """
    (said,) = in_private_network(code, tmp_path, hosts="127.0.0.1 localhost\n::1 localhost\n")
    assert said.startswith("OSError: [Errno 98]"), f"a second listener for localhost:6666: {said}"


# The client's own end


def test_a_client_that_says_where_it_comes_from(listener: sl.Listener) -> None:
    port = free_port()
    sources: list[Any] = [(HOST, port), Address(HOST, port), f"{HOST}:{port}", HOST, (HOST, 0)]
    for source in sources:
        with (
            sl.connect(listener.local_addr, source=source, timeout=10) as client,
            listener.accept(timeout=10) as server,
        ):
            assert server.peer_addr == client.local_addr
            assert client.local_addr.host == HOST
            assert (client.local_addr.port == port) == (str(port) in str(source))
            # The server closes last, and so the port does not rest in TIME_WAIT at the client's end.
            server.abort()


@linux
def test_the_lectures_addresses() -> None:
    with sl.listen("127.0.0.101", 0) as listener:
        for host in ("127.0.0.110", "127.0.0.115"):
            with (
                sl.connect(listener.local_addr, source=host, timeout=10) as client,
                listener.accept(timeout=10) as server,
            ):
                assert (client.local_addr.host, client.peer_addr) == (host, listener.local_addr)
                assert (server.local_addr, server.peer_addr) == (client.peer_addr, client.local_addr)
        with sl.connect(listener.local_addr, timeout=10) as client:
            assert client.local_addr.host == HOST, "without a source the kernel takes 127.0.0.1"


def test_no_such_source(listener: sl.Listener) -> None:
    def connect(source: Any) -> sl.Connection:
        return sl.connect(listener.local_addr, source=source, timeout=10)

    refused(ValueError, ["source", "[::1]:0", "other address family"], connect, "::1")
    refused(OSError, ["connect from 192.0.2.99:0", "no interface"], connect, "192.0.2.99")
    refused(socket.gaierror, ["nonexistent.invalid"], connect, "nonexistent.invalid")
    refused(OverflowError, ["65536"], connect, (HOST, 65536))
    assert "write port=" not in refused(TypeError, [], connect, 50320), "port= is the other end's"


def test_a_source_port_that_is_in_use(listener: sl.Listener) -> None:
    said = refused(OSError, [], sl.connect, listener.local_addr, source=listener.local_addr)
    assert f"connect from {listener.local_addr}" in said
    assert "another" in said, "the next step"
    assert "one address and port has one listener" not in said, "the client does not listen"
    with sl.connect(listener.local_addr, source=HOST, timeout=10) as client:
        words = [f"from {client.local_addr} to {listener.local_addr}", "another source port"]
        refused(OSError, words, sl.connect, listener.local_addr, source=client.local_addr)
        with sl.listen() as other, sl.connect(other.local_addr, source=client.local_addr, timeout=10) as second:
            assert second.local_addr == client.local_addr, (
                "another four-tuple with the same source is another connection"
            )


# Nobody there


def test_a_failed_attempt_has_nothing_in_its_buffers() -> None:
    target = Address(HOST, free_port())
    with sl.connect(target, wait=False) as client:
        refused(
            ConnectionRefusedError,
            [f"connect to {target}", "start the server first"],
            client.wait_connected,
            timeout=10,
        )
        eventually(lambda: client.state == sl.TcpState.CLOSED)
        assert (len(client.input_buffer), len(client.output_buffer)) == (0, 0)
        assert client.output_buffer.not_kept == 0
        refused(ConnectionRefusedError, [], client.recv, timeout=10)


@linux
def test_a_connection_to_itself_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    # TCP's simultaneous open (RFC 9293 section 3.5) with the only port that the kernel may choose.
    code = """
    import socket
    print(outcome(sl.connect, "127.0.0.1", 45000, **{}))
    print(outcome(sl.listen, "127.0.0.1", 45000))
    """
    for how in ({}, {"wait": False}, {"source": HOST}):
        first, second = in_private_network(code.format(how), tmp_path, ports="45000 45000")
        assert first.startswith("ConnectionRefusedError: "), first
        assert "nothing listens" in first
        assert second.startswith("<Listener 127.0.0.1:45000"), f"the server that the client waits for: {second}"


def test_a_connection_to_itself_by_request() -> None:
    address = Address(HOST, free_port())
    with sl.connect(address, source=address, timeout=10) as conn:
        assert conn.local_addr == conn.peer_addr == address
        conn.sendall(b"echo")
        assert conn.recv_exactly(4, timeout=10) == b"echo"
        conn.abort()
