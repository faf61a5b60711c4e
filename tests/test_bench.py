"""The benchmark runs, checks its bytes, and gives a ratio for every case. How fast anything is, is not tested."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHES = ROOT / "benches"
RATIO = "[0-9]+[.][0-9]{2}\N{MULTIPLICATION SIGN} "


def _bench(*options: str) -> str:
    command = [sys.executable, str(BENCHES), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_quick_run_gives_a_ratio_for_every_case(tmp_path: Path) -> None:
    report = tmp_path / "bench.md"
    _bench("--quick", "--output", str(report))
    ratios: dict[str, int] = {}
    case = ""
    for line in report.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 8 and re.match(RATIO, cells[5]):
            case = cells[0] or case
            ratios[case] = ratios.get(case, 0) + 1
    assert list(ratios) == _bench("--list").splitlines()
    assert "not measured" not in report.read_text(encoding="utf-8"), "something that is to be compared is not there"
    picture = ET.parse(report.with_suffix(".svg")).getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"


def test_an_unknown_case_is_named() -> None:
    command = [sys.executable, str(BENCHES), "--only", "no such case"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "'no such case'" in done.stderr


# --- the load: a benchmark of wrong answers is worth nothing, so it has to see them


@pytest.fixture(scope="module")
def native() -> Path:
    """The two native programs."""
    build = "import sys; sys.path.insert(0, sys.argv[1]); import native; print(native.build())"
    done = subprocess.run([sys.executable, "-c", build, str(BENCHES)], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def _load(native: Path, mode: str, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [
        native / "load",
        mode,
        f"127.0.0.1:{port}",
        "--seconds",
        "0.05",
        "--warmup",
        "0.01",
        *options,
    ]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False)


@contextmanager
def _bare(native: Path, service: str) -> Iterator[int]:
    with subprocess.Popen([native / "bare", service], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())


@contextmanager
def _serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server with a thread for each client."""

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            threading.Thread(target=serve, args=[sock], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=[listener], daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=10)
    assert not thread.is_alive()


def _carry(source: socket.socket, sink: socket.socket, change: Callable[[bytes, int], bytes]) -> None:
    had = 0
    try:
        while data := source.recv(65536):
            sink.sendall(change(data, had))
            had += len(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the load has seen enough


@contextmanager
def _server(change: Callable[[bytes, int], bytes]) -> Iterator[int]:
    """An echo that changes what it gives back; `change` is told how many bytes of this client it had before."""

    def serve(sock: socket.socket) -> None:
        with sock:
            _carry(sock, sock, change)

    with _serving(serve) as port:
        yield port


@contextmanager
def _relay(server: int, change: Callable[[bytes], bytes]) -> Iterator[int]:
    """Stands between the load and a server, and changes what the server says."""

    def serve(near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", server)) as far:
            back = threading.Thread(target=_carry, args=(far, near, lambda data, _had: change(data)), daemon=True)
            back.start()
            _carry(near, far, lambda data, _had: data)
            back.join()

    with _serving(serve) as port:
        yield port


SERVICES = {"echo": "echo", "lives": "echo", "bulk": "echo", "lines": "lines", "discard": "discard", "chat": "chat"}


@pytest.mark.parametrize("mode", SERVICES)
def test_the_bare_server_gives_the_load_what_it_sent(native: Path, mode: str) -> None:
    with _bare(native, SERVICES[mode]) as port:
        done = _load(native, mode, port, "--connections", "3")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["operations"] > 0


def _with_one_bit_changed(data: bytes, had: int) -> bytes:
    at = 10_000 - had
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if 0 <= at < len(data) else data


def _with_a_byte_lost(data: bytes, had: int) -> bytes:
    at = 10_000 - had
    return data[:at] + data[at + 1 :] if 0 <= at < len(data) else data


def _with_a_byte_doubled(data: bytes, had: int) -> bytes:
    at = 10_000 - had
    return data[:at] + data[at : at + 1] + data[at:] if 0 <= at < len(data) else data


@pytest.mark.parametrize("mode", ["echo", "bulk", "lines"])
@pytest.mark.parametrize("change", [_with_one_bit_changed, _with_a_byte_lost, _with_a_byte_doubled])
def test_the_load_sees_a_single_wrong_byte(native: Path, mode: str, change: Callable[[bytes, int], bytes]) -> None:
    with _server(change) as port:
        done = _load(native, mode, port, "--connections", "2", "--seconds", "0.5")
    assert done.returncode == 1
    assert "not the" in done.stderr


def test_the_load_sees_another_byte_than_it_sent(native: Path) -> None:
    with _server(lambda data, _had: bytes([data[0] ^ 1])) as port:
        done = _load(native, "lives", port, "--connections", "2")
    assert done.returncode == 1
    assert "not the byte that was sent" in done.stderr


def test_the_load_sees_an_answer_where_there_is_to_be_none(native: Path) -> None:
    with _server(lambda _data, had: b"" if had else b"!") as port:
        done = _load(native, "discard", port, "--connections", "1")
    assert done.returncode == 1
    assert "an answer where there has to be none" in done.stderr


def test_the_load_sees_a_line_that_one_of_the_others_did_not_hear(native: Path) -> None:
    lost = threading.Event()

    def forgetful(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        told = [line for line in lines if b"#01 0000000001" not in line or not line.endswith(b"\n")]
        if lost.is_set() or len(told) == len(lines):
            return data
        lost.set()
        return b"".join(told)

    with _bare(native, "chat") as port, _relay(port, forgetful) as through:
        done = _load(native, "chat", through, "--connections", "4", "--window", "4", "--seconds", "0.5")
    assert lost.is_set()
    assert done.returncode == 1
    assert "not the next line of its speaker" in done.stderr


def test_a_case_that_fails_is_told_and_the_others_are_kept(tmp_path: Path) -> None:
    report = tmp_path / "bench.md"
    options = ["benches", "--quick", "--only", "1 B, close, ", "--output", str(report)]
    program = f"""
import runpy, sys
sys.path.insert(0, {str(BENCHES)!r})
import harness
measure = harness.run
def run(case, *options):
    if "two cores" in case.name:
        raise OSError("no such core")
    return measure(case, *options)
harness.run = run
sys.argv = {options!r}
runpy.run_path({str(BENCHES)!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    told = report.read_text(encoding="utf-8")
    assert "connect, 1 B, close, two cores (OSError: no such core)" in told
    assert "| connect, 1 B, close, one core" in told
