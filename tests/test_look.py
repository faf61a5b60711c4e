"""The promise: anybody's socket can be looked at, and is as it was afterwards; notebook forms show the same facts, escaped."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import flow
import pytest
import socklens as sl
from helpers import eventually
from socklens import _rich
from socklens.display import forms
from socklens.display.ends import end_view
from socklens.display.markup import css, hexdump, share
from socklens.display.views import listener_view

EVIL = b"<script>alert(1)</script>\x1b[31m\xff\"'&"


@pytest.fixture
def stdlib() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted = server.accept()[0]
        with client, accepted:
            yield client, accepted


@pytest.mark.usefixtures("no_leaks")
def test_a_look_takes_nothing_over(stdlib: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = stdlib
    client.sendall(b"hello")
    eventually(lambda: len(sl.look(accepted).input_buffer or b"") == 5)
    look = sl.look(accepted)
    assert (look.local_addr, look.peer_addr) == (accepted.getsockname(), client.getsockname())
    assert look.state == sl.TcpState.ESTABLISHED
    assert look.input_buffer is not None
    assert bytes(look.input_buffer) == b"hello"
    assert look.info is not None
    assert look.info.bytes_received == 5
    assert accepted.getblocking()
    assert os.get_blocking(accepted.fileno())
    assert accepted.recv(10) == b"hello"
    assert "hello" in repr(look)  # frozen


def test_what_has_no_counts_is_not_said_to_have_any(stdlib: tuple[socket.socket, socket.socket]) -> None:
    client, _ = stdlib
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.send(bytes(65536))
    look = sl.look(client)
    assert look.output_buffer is not None
    assert len(look.output_buffer) == look.output_buffer.not_kept > 0
    html = look._repr_html_()
    assert "content not known" in html
    assert ">sent</span>" not in html
    assert ">taken</span>" not in html


def test_listeners_descriptors_and_ours_are_looked_at(
    listener: sl.Listener, pair: tuple[sl.Connection, sl.Connection]
) -> None:
    with sl.connect(listener.local_addr):
        look = sl.look(listener)
        assert look.backlog is not None
        assert (look.state, look.backlog.waiting, look.input_buffer) == (sl.TcpState.LISTEN, 1, None)
        assert "1 waiting" in repr(look)
        assert "1 waiting to be accepted" in look._repr_html_()
    assert sl.look(pair[0]).peer_addr == sl.look(pair[0].fileno()).peer_addr == pair[1].local_addr
    with socket.socket() as unconnected:
        assert (sl.look(unconnected).peer_addr, sl.look(unconnected).info) == (None, None)


def test_a_connection_of_ours_keeps_its_totals_and_what_it_has_sent() -> None:
    with flow.ends(recv_buffer=flow.SMALL, send_buffer=flow.SMALL) as (client, server):
        sent = flow.stuff(client, server)
        server.recv(100)
        server.recv_until(server.peek(1)[:1])
        here, there = sl.look(client), sl.look(server)
        assert (here.totals, there.totals) == (client.totals, server.totals)
        assert f"sent {sent:,} B" in repr(here)
        assert f"sent</span> {sent:,} B" in here._repr_html_()
        assert f"taken</span> {server.totals.read:,} B" in there._repr_html_()
        assert here.output_buffer is not None
        assert here.output_buffer.not_kept == 0
        assert here.output_buffer.peek(10) == client.output_buffer.peek(10)
        assert there.input_buffer is not None
        assert there.input_buffer.rust == server.input_buffer.rust > 0
    with socket.create_server(("127.0.0.1", 0)) as plain:
        assert sl.look(plain).totals is None


def test_an_asyncio_transport_is_looked_at() -> None:
    async def talk() -> tuple[sl.Look, sl.Look, bytes]:
        async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hi")
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            looks = sl.look(writer), sl.look(writer.transport)
            heard = await reader.readexactly(2)
            writer.close()
            await writer.wait_closed()
            return *looks, heard

    first, second, heard = asyncio.run(talk())
    assert first.local_addr == second.local_addr
    assert heard == b"hi"


def test_a_subprocess_and_its_socket(stdlib: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = stdlib
    code = "import socklens as sl, sys; print(sl.look(sys.stdin).peer_addr)"
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=accepted.fileno(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{}:{}".format(*client.getsockname())
    client.sendall(b"x")
    assert accepted.recv(1) == b"x"


def test_what_is_no_tcp_socket_is_refused(
    pair: tuple[sl.Connection, sl.Connection], stdlib: tuple[socket.socket, socket.socket]
) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(ValueError, match="not a TCP"):
        sl.look(datagrams)
    with (
        open(os.devnull) as file,
        pytest.raises(OSError, match=r"(not a socket|non-socket).*a file, a pipe or a terminal") as refused,
    ):
        sl.look(file)
    assert refused.value.errno == errno.ENOTSOCK
    with pytest.raises(OSError, match="no descriptor with this number is open") as refused:
        sl.look(1_000_000)
    assert refused.value.errno == errno.EBADF
    with pytest.raises(TypeError, match=r"something else with fileno\(\), not str"):
        sl.look("127.0.0.1")  # type: ignore[arg-type]
    for closed in (*pair, *stdlib):
        closed.close()
        with pytest.raises(ValueError, match="closed"):
            sl.look(closed)


# Notebook forms


def test_a_connections_form_shows_what_the_kernel_says_escaped(pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = pair
    client.send(EVIL)
    eventually(lambda: len(server.input_buffer) == len(EVIL))
    view = end_view(server, "<b>name</b>")
    html = forms.connection_html(view)
    assert html == forms.connection_html(view)
    for shown in (
        str(server.local_addr),
        str(server.peer_addr),
        "ESTABLISHED",
        "round trip",
        "retransmitted",
        "own window",
    ):
        assert shown in html
    assert f"{len(EVIL):,} of {server.input_buffer.capacity:,} B" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\xff" in html
    for raw in ("<script", "\x1b", "<b>name"):
        assert raw not in html
    assert 'role="img" aria-label="in ' in html


def test_every_form_draws_open_and_closed(listener: sl.Listener, pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, _ = pair
    shown = [client.input_buffer, client.output_buffer, client.info()]
    drawings = [_rich._input(shown[0]), _rich._output(shown[1]), _rich._info(shown[2])]  # type: ignore[arg-type]
    drawings += [_rich._address(sl.Address("::1", 80)), _rich._connection(client), _rich._listener(listener)]
    client.close()
    listener.close()
    drawings += [_rich._connection(client), _rich._listener(listener)]
    for html in drawings:
        assert html is not None
        assert html.startswith("<style>")
        assert html.count("<div") == html.count("</div>")
    assert "closed" in str(drawings[-1])
    assert forms.listener_html(listener_view(listener)) == drawings[-1]


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("127.0.0.101", "loopback"),
        ("0.0.0.0", "every interface"),
        ("::", "every interface"),
        ("fe80::1%2", "link-local"),
        ("192.168.1.7", "private"),
        ("8.8.8.8", "global"),
        ("no address", ""),
    ],
)
def test_an_address_says_what_it_is_for(host: str, kind: str) -> None:
    assert forms.host_kind(host).startswith(kind)
    assert bool(forms.host_kind(host)) == bool(kind)


def test_ports_have_their_ranges() -> None:
    starts = {port: forms.port_kind(port).split()[0] for port in (0, 80, 1023, 1024, 49151, 49152, 65535)}
    assert list(starts.values()) == ["0:", "system", "system", "user", "user", "dynamic", "dynamic"]


def test_only_a_full_bar_looks_full_and_only_an_empty_one_empty() -> None:
    assert [share(*fill) for fill in ((0, 100), (1, 10**9), (999_999, 10**6), (5, 5), (7, 5), (1, 0))] == [
        "0%",
        "0.6%",
        "99.0%",
        "100%",
        "100%",
        "0%",
    ]


def test_a_hexdump_is_bounded_and_plain() -> None:
    rows = hexdump(bytes(range(256)) * 10).split("\n")
    assert len(rows) == 16
    assert rows[1] == f"0010  {bytes(range(16, 32)).hex(' ')}  ................"
    assert rows[4].endswith("@ABCDEFGHIJKLMNO")
    assert {len(row) for row in rows} == {71}


def test_the_style_follows_the_theme_and_touches_nothing_else() -> None:
    selectors = [part.split("{")[0] for part in css().split("*/")[-1].split("}") if "{" in part]
    assert "var(--jp-content-font-color1" in css()
    assert all(".socklens-" in selector for selector in selectors)
