"""The promise: when an endpoint cannot be had or reached, `sl.explain` finds the cause in this machine's own tables. Each cause is made to
happen here, with socklens, with Python's socket and with asyncio, and compared with what ss says.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import oracles
import pytest
import socklens as sl
from explaining import explained, patiently, seen
from helpers import lacking, need
from network import free_port, in_private_network, need_ipv6
from program import Program
from socklens import Cause

HOST = "127.0.0.1"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")


def std_connect(address: tuple[str, int]) -> None:
    with socket.socket() as sock:
        sock.connect(address)


def std_create(address: tuple[str, int]) -> None:
    socket.create_connection(address).close()


def asyncio_connect(address: tuple[str, int]) -> None:
    asyncio.run(asyncio.wait_for(asyncio.open_connection(*address), 10))


def url(address: tuple[str, int]) -> None:
    urllib.request.urlopen(f"http://{address[0]}:{address[1]}/")


EVERY_WAY = pytest.mark.parametrize("connect", [sl.connect, std_connect, std_create, asyncio_connect, url])


# Refused


@EVERY_WAY
def test_nothing_listens(connect: Any) -> None:
    port = free_port()
    found = explained(OSError, connect, (HOST, port))
    assert oracles.ss((HOST, port)) is None
    assert found.cause is Cause.NOTHING_LISTENS
    assert f"no socket listens on {HOST}:{port} [the kernel's socket table" in seen(found)


@EVERY_WAY
def test_bound_and_not_listening(connect: Any) -> None:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        found = explained(OSError, connect, holder.getsockname())
        assert found.cause is Cause.NOT_LISTENING
        assert f"this program (`holder`) has bound {HOST}:{holder.getsockname()[1]} and does not listen" in seen(found)
        assert "listen()" in found.next_step


def test_the_same_port_on_another_address_and_another_family() -> None:
    need_ipv6()
    with sl.listen("127.0.0.2", free_port()) as other, sl.listen("::1", other.local_addr.port) as six:
        found = explained(ConnectionRefusedError, sl.connect, HOST, other.local_addr.port)
        assert found.cause is Cause.NOTHING_LISTENS
        for listener, name in ((other, "other"), (six, "six")):
            where = f"this program (`{name}`, made in {listener.created_at}) listens on {listener.local_addr}"
            assert where in seen(found)
            assert oracles.ss(listener.local_addr)
        assert str(other.local_addr) in found.next_step


def test_only_another_family() -> None:
    need_ipv6()
    with sl.listen("::1", free_port()) as six:
        found = explained(ConnectionRefusedError, sl.connect, HOST, six.local_addr.port)
        assert str(six.local_addr) in seen(found)
        assert "IPv6 is another family" in found.next_step


def test_a_neighbouring_port() -> None:
    with sl.listen(HOST, free_port()) as listener:
        port = listener.local_addr.port
        with sl.listen(HOST, port + 4):
            found = explained(ConnectionRefusedError, sl.connect, HOST, port + 1)
        assert f"`listener`, made in {listener.created_at}) listens on {listener.local_addr}" in seen(found)
        assert f"is it {port} instead of {port + 1}" in found.next_step, "the nearest first"


def test_a_neighbouring_port_of_another_program() -> None:
    port = free_port()
    code = f"import socket; s = socket.create_server(('{HOST}', {port})); print('up', flush=True); input()"
    with Program(sys.executable, "-c", code) as server:
        server.wait_for("up", stdout=True)
        found = explained(ConnectionRefusedError, sl.connect, HOST, port + 1)
        rows = subprocess.run(
            [need("ss"), "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True
        ).stdout
        name, pid = re.findall(r'\(\("([^"]+)",pid=(\d+)', rows)[0]
        assert f"{name} (process {pid}) listens on {HOST}:{port}" in seen(found)


def test_a_listener_that_was_closed() -> None:
    listener = sl.listen(HOST, free_port())
    listener.close()
    found = explained(ConnectionRefusedError, sl.connect, listener.local_addr)
    assert f"the listener `listener`, made in {listener.created_at}" in seen(found)
    assert str(listener.closed_at) in seen(found)
    assert "its listener has been closed" in found.next_step


@pytest.mark.parametrize("notebook", [False, True])
def test_what_a_notebooks_kernel_listens_on_is_left_out(notebook: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", sys)
    number = sl.listen(HOST).detach()  # as the sockets of the kernel's channels, it is in no variable
    try:
        with sl.listen(HOST) as listener:
            told = seen(explained(ConnectionRefusedError, sl.connect, HOST, free_port()))
        assert f"`listener`, made in {listener.created_at}" in told
        assert ("no variable of it was found" in told) is not notebook
    finally:
        os.close(number)


def test_it_listens_by_now() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError) as caught:
        sl.connect(HOST, port)
    with sl.listen(HOST, port):
        assert "try again" in patiently(caught.value).next_step


# Timed out


def test_the_backlog_is_full() -> None:
    with (
        sl.listen(HOST, free_port(), backlog=1) as listener,
        sl.connect(listener.local_addr),
        sl.connect(listener.local_addr),
    ):
        row = oracles.ss(listener.local_addr)
        assert row is not None
        for call in (sl.connect, lambda at, timeout: socket.create_connection(at, timeout)):
            found = explained(TimeoutError, call, listener.local_addr, timeout=0.2)
            assert found.cause is Cause.BACKLOG_FULL
            assert f"{row.recv_queue} connections wait to be accepted, full (limit {row.send_queue} " in seen(found)
            assert "Let `listener` call accept()" in found.next_step


def test_the_queue_has_room_again() -> None:
    with sl.listen(HOST, free_port(), backlog=0) as listener, sl.connect(listener.local_addr):
        with pytest.raises(TimeoutError) as caught:
            sl.connect(listener.local_addr, timeout=0.2)
        with listener.accept(timeout=10):
            found = patiently(caught.value)
    assert found.cause is Cause.NO_ANSWER
    assert "try again" in found.next_step


# In use


@pytest.mark.parametrize("way", ["socklens", "socket", "asyncio"])
def test_somebody_listens(way: str) -> None:
    with sl.listen(HOST, free_port()) as holder:
        ways: dict[str, Any] = {
            "socklens": sl.listen,
            "socket": lambda *at: socket.create_server(at),
            "asyncio": lambda *at: asyncio.run(asyncio.start_server(print, *at)),
        }
        found = explained(OSError, ways[way], *holder.local_addr)
        assert found.cause is Cause.ADDRESS_IN_USE
        assert f"this program (`holder`, made in {holder.created_at}) listens on {holder.local_addr}" in seen(found)
        assert "Use holder.close() first" in found.next_step
        assert "one address and port has one listener at a time" in found.next_step


def test_a_server_has_it() -> None:
    with sl.Server(sl.Echo(), HOST, free_port()) as echo:
        assert echo.running
        found = explained(OSError, sl.listen, echo.local_addr)
        assert "the server `echo`, started in" in seen(found)


def test_all_addresses_are_had() -> None:
    with sl.listen("0.0.0.0", free_port()) as every:
        found = explained(OSError, sl.listen, HOST, every.local_addr.port)
        assert f"0.0.0.0 stands for all addresses, {HOST} among them" in seen(found)


def test_it_is_bound_and_not_listening() -> None:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        found = explained(OSError, sl.listen, *holder.getsockname())
        assert found.cause is Cause.NOT_LISTENING
        assert "Use holder.close() first" in found.next_step


def test_time_wait_and_how_long() -> None:
    with sl.listen(HOST, free_port()) as listener:
        client = sl.connect(listener.local_addr)
        server = listener.accept(timeout=10)
        server.close()
        assert client.recv(timeout=10) == b""
        client.close()
    found = explained(OSError, sl.listen, HOST, listener.local_addr.port, reuse_addr=False)
    assert found.cause is Cause.TIME_WAIT
    told = re.search(rf"{server.local_addr} -> {server.peer_addr} rests in TIME_WAIT, for (\d+) s more", seen(found))
    assert told, seen(found)
    timer = subprocess.run(
        [need("ss"), "-Htno", "state", "time-wait", f"sport = :{listener.local_addr.port}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    left = re.search(r"timewait,(?:(\d+)min)?(?:([\d.]+)(?:sec|ms))?", timer)
    assert left, timer
    assert abs(int(left[1] or 0) * 60 + float(left[2] or 0) - int(told[1])) <= 5


def test_a_connection_has_it() -> None:
    with sl.listen(HOST, free_port()) as listener:
        client = sl.connect(listener.local_addr)
        server = listener.accept(timeout=10)
    with client, server:
        found = explained(OSError, sl.listen, HOST, listener.local_addr.port, reuse_addr=False)
        assert found.cause is Cause.ADDRESS_IN_USE
        assert f"{server.local_addr} -> {client.local_addr} has it, in state ESTABLISHED" in seen(found)
        assert "`server`" in seen(found)


# Not available, forbidden, unreachable, no name


def test_not_this_machines_address() -> None:
    found = explained(OSError, sl.listen, "192.0.2.99", free_port())
    assert found.cause is Cause.ADDRESS_NOT_AVAILABLE
    told = subprocess.run([need("ip"), "-4", "-br", "addr"], capture_output=True, text=True, check=True).stdout
    for address in re.findall(r"(\d+\.\d+\.\d+\.\d+)/", told)[:8]:
        assert address in seen(found)
    assert "127.0.0.0" not in seen(found), "a network is no address"


def test_in_a_network_of_its_own(tmp_path: Path) -> None:
    lines = in_private_network(
        """
        def tell(call, *args, **kwargs):
            try:
                call(*args, **kwargs)
            except OSError as error:
                found = sl.explain(error)
                print(found.cause.name, "|", "; ".join(map(str, found.evidence)), "|", found.next_step)

        def std(host, port):
            with socket.socket() as sock:
                sock.connect((host, port))

        tell(sl.connect, "192.0.2.1", 80)
        tell(std, "192.0.2.1", 80)
        tell(sl.connect, "2001:db8::1", 80)
        tell(sl.connect, "localhots", 80)
        tell(socket.create_connection, ("lecturr", 80))
        listeners = [sl.listen("127.0.0.1", 0) for _ in range(4)]
        tell(sl.listen, "127.0.0.1", 0)
        """,
        tmp_path,
        hosts="127.0.0.1 localhost\n127.0.0.1 lecture  # ours\n",
        ports="40000 40003",
    )
    told = [line.split(" | ") for line in lines]
    assert [cause for cause, *_ in told[:2]] == ["NO_ROUTE"] * 2
    assert "no route of this machine leads to 192.0.2.1, and there is no default route [/proc/net/route" in told[0][1]
    assert told[2][0] in ("NO_ROUTE", "ADDRESS_NOT_AVAILABLE")
    assert [cause for cause, *_ in told[3:5]] == ["NAME_NOT_FOUND"] * 2
    assert told[3][2] == 'Did you mean "localhost"?'
    assert told[4][2] == 'Did you mean "lecture"?'
    assert told[5][0] == "ADDRESS_IN_USE"
    assert "from 40000 to 40003" in told[5][1]


@pytest.mark.parametrize("host", ["255.255.255.255", "224.0.0.1"])
def test_an_address_of_many_hosts(host: str) -> None:
    found = explained(OSError, sl.connect, host, 80, timeout=5)
    assert found.cause is Cause.NO_ROUTE
    assert f"{host} stands for many hosts at once" in seen(found)
    assert "route" not in seen(found)


def test_routes_that_refuse_and_hosts_that_do_not_answer(tmp_path: Path) -> None:
    """A veth with nobody behind it: neighbours that are not there, one whose SYNs nobody answers, and routes made to refuse."""
    need("ip")
    lines = in_private_network(
        """
        import subprocess

        def ip(*words):
            subprocess.run(["ip", *words], check=True)

        def tell(call, *args, **kwargs):
            try:
                call(*args, **kwargs)
            except OSError as error:
                found = sl.explain(error)
                print(type(error).__name__, found.cause.name, "; ".join(map(str, found.evidence)), found.next_step, sep=" | ")

        def std(host, port):
            with socket.socket() as sock:
                sock.settimeout(0.2)
                sock.connect((host, port))

        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
        ip("addr", "add", "192.0.2.1/24", "dev", "v0")
        ip("link", "set", "v0", "up")
        ip("link", "set", "v1", "up")
        # Asked once, and given up soon, so that nobody waits for three seconds.
        for name, number in (("mcast_solicit", 1), ("retrans_time_ms", 50)):
            with open(f"/proc/sys/net/ipv4/neigh/v0/{name}", "w") as file:
                print(number, file=file)
        for host, kind in ((1, "unreachable"), (2, "prohibit"), (3, "blackhole")):
            ip("route", "add", kind, f"198.51.100.{host}")
        ip("neigh", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:09", "dev", "v0", "nud", "permanent")
        for connect in (sl.connect, std):
            for host in (1, 2, 3):
                tell(connect, f"198.51.100.{host}", 80)
        tell(sl.connect, "192.0.2.7", 80, timeout=10)
        tell(sl.connect, "192.0.2.9", 80, timeout=0.2)
        tell(std, "192.0.2.9", 80)
        tell(sl.connect, "192.0.2.255", 80, timeout=1)
        """,
        tmp_path,
    )
    told = [line.split(" | ") for line in lines]
    kinds = [("OSError", "NO_ROUTE"), ("PermissionError", "FORBIDDEN"), ("OSError", "NO_ROUTE")]
    assert [(kind, cause) for kind, cause, *_ in told[:6]] == kinds * 2
    for (_, _, evidence, step), word in zip(told[:6], ("routes", "prohibit", "blackhole") * 2, strict=True):
        assert re.search(
            r"the route to 198\.51\.100\.\d/32 leads nowhere: it is there to refuse \[/proc/net/route", evidence
        )
        assert word in step
    assert told[6][:2] == ["OSError", "NO_ROUTE"]
    assert "nobody on the local network has answered for 192.0.2.7 [/proc/net/arp]" in told[6][2]
    for kind, cause, evidence, step in told[7:9]:
        assert (kind, cause) == ("TimeoutError", "NO_ANSWER")
        assert "the route to 192.0.2.0/24 leads there, by the interface v0" in evidence
        assert "firewall" in step
    assert told[9][1] == "NO_ROUTE"
    assert "192.0.2.255 is the broadcast address of 192.0.2.0/24" in told[9][2]


PRIVILEGED = """
import os
import socklens as sl
sl.explain(OSError())  # loaded while this user may still read it
if os.geteuid() == 0:
    os.setuid(65534)
try:
    sl.listen("127.0.0.1", 80)
except PermissionError as error:
    found = sl.explain(error)
    print(found.cause.name, found.evidence[0].text, found.evidence[1].text, found.next_step, sep=" | ")
"""


def test_a_privileged_port() -> None:
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        first = int(file.read())
    if first <= 80:
        lacking("privileged ports: this machine has none")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRIVILEGED], capture_output=True, text=True, check=True, timeout=60
    )
    user = os.geteuid() or 65534
    expected = f"PRIVILEGED_PORT | ports below {first} are for privileged programs | this program runs as uid {user} | "
    assert done.stdout.startswith(expected)


@pytest.mark.parametrize(
    ("name", "cause", "step"),
    [
        ("http://localhost/chat", Cause.NOT_A_NAME, '"localhost"'),
        ("localhots", Cause.NAME_NOT_FOUND, 'Did you mean "localhost"?'),
        ("no\x1b[31msuch.invalid", Cause.NAME_NOT_FOUND, "Check its spelling"),
    ],
)
def test_a_name_that_is_none(name: str, cause: Cause, step: str) -> None:
    error = socket.gaierror(socket.EAI_NONAME, f'the name "{name}" has no address (Name or service not known)')
    found = patiently(error)
    assert found.cause is cause
    assert step in found.next_step
    assert "\x1b" not in str(found)


def test_a_url_is_no_name() -> None:
    found = explained(ValueError, sl.connect, "http://localhost/", 80)
    assert found.cause is Cause.NOT_A_NAME
    assert '"localhost"' in found.next_step
