"""Drawing is a pure function of a frozen view, no line is too wide, and no byte from a peer reaches the screen raw."""

from __future__ import annotations

import ast
import io
import os
import re
import sys
from dataclasses import replace

import pytest
import socklens as sl
from hypothesis import given
from hypothesis import strategies as st
from socklens import Address
from socklens.display import show, text
from socklens.display.buffers import Buffer
from socklens.display.ends import EndView, PairView, PathView
from socklens.display.escape import cells, cut, escape, pad, quoted
from socklens.display.forms import connection_html
from socklens.display.glyphs import ASCII, UNICODE, Glyphs
from socklens.display.lens import lens_text
from socklens.display.lens_html import lens_html
from socklens.display.screen import Screen
from socklens.display.views import ConnectionView, InputView, ListenerView, OutputView, View, view_of

A, B, C = Address("127.0.0.101", 6666), Address("127.0.0.110", 50320), Address("127.0.0.115", 40520)
LONG = Address("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", 65535)


def connection(
    local: Address = A, peer: Address = B, data: bytes = b"hello\n", name: str = "a_for_b"
) -> ConnectionView:
    return ConnectionView(
        local=local,
        peer=peer,
        state="ESTABLISHED",
        input=InputView(rust=0, kernel=len(data), capacity=131_072, first=data[:256]),
        output=OutputView(unacknowledged=0, unsent=0, total=0, capacity=2_626_560, first=b""),
        sent=0,
        received=0,
        name=name,
    )


LISTENER = ListenerView(local=A, state="LISTEN", waiting=1, limit=128, accepted=2)
STOPPED: list[View] = [
    replace(
        connection(B, A, b"", "writer"),
        output=OutputView(unacknowledged=0, unsent=4_067_840, total=4_067_840, capacity=4_194_304, first=b""),
        sent=4_196_352,
    ),
    replace(connection(name="reader"), input=InputView(rust=0, kernel=128_512, capacity=131_072, first=b"x" * 256)),
]
"""Both ends of a connection whose reader has stopped reading."""
SCENES: dict[str, list[View]] = {
    "stopped": STOPPED,
    "connection": [connection()],
    "listener": [replace(LISTENER, connections=(connection(), connection(peer=C)))],
    "ends": [connection(), connection(B, A, b"", "b")],
    "shared port": [LISTENER, connection(), connection(peer=C, name="a_for_c")],
    "everything": [LISTENER, connection(), connection(B, A, b"", "b"), connection(peer=C, name="a_for_c")],
    "long addresses": [connection(LONG, LONG), connection(LONG, LONG, name="other")],
    "closed": [replace(connection(), closed=True, state="TIME_WAIT", input=None, output=None)],
    "the other end has finished": [replace(connection(), state="CLOSE_WAIT"), connection(B, A, b"", "b")],
    "nothing known": [ConnectionView(local=A, peer=None, state=None), ListenerView(local=A, state=None)],
}


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain text", "plain text"),
        ("grüße 日本".encode(), "grüße 日本"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),  # harmless in a terminal; HTML escapes it again
        (b"\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        (b"a\0b\x7f", r"a\x00b\x7f"),
        (b"line\r\n\ttab", r"line\r\n\ttab"),
        (b"\xff\xfe caf\xe9", r"\xff\xfe caf\xe9"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),  # a surrogate is not UTF-8
        ("\u009b31m".encode(), r"\u009b31m"),  # the one-character CSI of the C1 controls
        ("abc\u202ecba\u200b\U000e0041".encode(), r"abc\u202ecba\u200b\U000e0041"),  # invisible, direction-changing
        (rb"\x1b is text", r"\\x1b is text"),
    ],
)
def test_what_could_steer_or_hide_becomes_visible(data: bytes, shown: str) -> None:
    assert escape(data) == shown


def test_escape_for_an_ascii_screen_and_with_lines_kept() -> None:
    assert escape("né\n".encode(), ascii_only=True) == r"n\xc3\xa9\n"
    assert escape(b"one\r\ntwo\x07\n", keep="\n") == "one\\r\ntwo\\x07\n"
    assert quoted(b'say "hi"') == r'"say \"hi\""'


@given(st.binary(max_size=300), st.booleans())
def test_escaped_bytes_are_always_printable(data: bytes, ascii_only: bool) -> None:
    shown = escape(data, ascii_only=ascii_only)
    assert shown == "" or shown.isprintable()
    assert shown.isascii() or not ascii_only


@given(st.binary(max_size=100))
def test_ascii_escape_is_python_and_loses_nothing(data: bytes) -> None:
    assert ast.literal_eval("b" + quoted(data, ascii_only=True)) == data


@given(st.text(max_size=60), st.integers(0, 40))
def test_cut_and_pad_hold_the_width(text_: str, width: int) -> None:
    shown = escape(text_)
    assert cells(cut(shown, width)) <= width
    assert cells(pad(shown, width)) == width


def test_wide_and_combining_characters_are_measured() -> None:
    assert (cells("abc"), cells("日本"), cells("e\u0301")) == (3, 4, 1)
    assert cut("日本語", 5) == "日本…"


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [24, 33, 40, 60, 80, 120])
@pytest.mark.parametrize("scene", SCENES)
def test_no_line_is_wider_than_asked(scene: str, width: int, glyphs: Glyphs) -> None:
    drawn = text.picture(SCENES[scene], width, glyphs)
    assert max(cells(line) for line in drawn.splitlines()) <= width
    assert drawn.isascii() or glyphs is UNICODE


@given(st.binary(max_size=256), st.sampled_from([24, 50, 80]), st.sampled_from([UNICODE, ASCII]))
def test_no_content_breaks_the_frame(data: bytes, width: int, glyphs: Glyphs) -> None:
    for views in ([connection(data=data)], [connection(data=data), connection(B, A, data, "b")]):
        drawn = text.picture(views, width, glyphs)
        assert all(line.isprintable() and cells(line) <= width for line in drawn.split("\n"))
        assert drawn.isascii() or glyphs is UNICODE


@pytest.mark.parametrize("scene", SCENES)
def test_same_view_same_drawing(scene: str) -> None:
    assert text.picture(SCENES[scene]) == text.picture(list(SCENES[scene]))


def test_a_connection_shows_both_endpoints_both_buffers_and_the_bytes() -> None:
    drawn = text.connection(connection(data=b"hello\x1b[2J"))
    assert "127.0.0.101:6666" in drawn
    assert "127.0.0.110:50320" in drawn
    assert "ESTABLISHED" in drawn
    assert "9 of 131,072 B" in drawn
    assert "0 of 2,626,560 B" in drawn
    assert r'"hello\x1b[2J"' in drawn


def test_where_bytes_are_is_told() -> None:
    view = replace(
        connection(),
        input=InputView(rust=3, kernel=2, capacity=100, first=b"abcde"),
        output=OutputView(unacknowledged=4, unsent=5, total=9, capacity=100, first=b""),
    )
    drawn = text.connection(view)
    assert "2 of 100 B" in drawn
    assert "and 3 B already in this program" in drawn
    assert '"abcde"' in drawn
    assert "9 of 100 B" in drawn
    assert "4 in flight, 5 waiting here" in drawn
    assert "content not shown: no copy of the oldest bytes" in drawn


def test_a_bar_is_empty_only_for_nothing_and_full_only_for_full() -> None:
    def bar(filled: int) -> str:
        view = replace(connection(), input=InputView(0, filled, 1000, b"x" * filled))
        return next(line for line in text.connection(view).splitlines() if line.startswith("│ in"))

    assert "█" not in bar(0)
    assert "▏" not in bar(0)
    assert "▏" in bar(1)
    assert "█" not in bar(1)
    assert "░" in bar(999)
    assert "░" not in bar(1000)
    assert "░" not in bar(2000)


@pytest.mark.parametrize("width", [24, 33, 40, 60, 72, 80, 90, 100, 120])
def test_a_picture_of_full_buffers_cuts_no_number_and_its_bars_are_nearly_full(width: int) -> None:
    drawn = text.picture(STOPPED, width)
    cut_lines = [line for line in drawn.splitlines() if "…" in line]
    assert all(line.startswith("╭") or "x…" in line for line in cut_lines)  # titles and content alone
    assert "4,196,352 B" in drawn.replace(" │\n│       ", " ")
    assert ("4,067,840 of 4,194,304 B" if width >= 40 else "3.8 of 4.0 MiB") in drawn
    assert ("128,512 of 131,072 B" if width >= 33 else "125 of 128 KiB") in drawn
    bars = re.findall("[█░]{2,}", drawn)
    assert len(bars) == 4
    for bar in bars:
        assert len(bar) >= 8
        assert bar.count("█") in (0, len(bar) - 1)  # 97 % and 98 % are nearly full


def test_the_same_word_never_means_two_things() -> None:
    writer, reader = (text.connection(view) for view in STOPPED if isinstance(view, ConnectionView))
    assert "0 in flight, 4,067,840 waiting here" in writer
    assert re.findall(r"\S+ sent \S+", writer) == ["total sent 4,196,352"]
    assert "taken 0 B" in reader  # though 128,512 B were received: nobody took them out of the buffer
    assert "received" not in reader


@given(st.integers(0, 2**31), st.integers(1, 2**31))
def test_a_short_number_is_short_and_rounded_down(filled: int, capacity: int) -> None:
    shown = Buffer("in", filled, capacity, "", ()).short_count
    assert len(shown) <= 19
    number, unit, of = re.fullmatch(r"([\d.]+)(| \w+) of ([\d.]+ \w+)", shown).groups()  # type: ignore[union-attr]
    scale = 1024 ** ["B", "KiB", "MiB", "GiB"].index(unit.strip() or of.split()[1])
    assert float(number) * scale <= filled < (float(number) + (0.1 if "." in number else 1)) * scale * 1.001
    assert (float(number) == 0) == (filled == 0)


def test_cut_content_says_that_there_is_more() -> None:
    drawn = text.connection(connection(data=b"x" * 5000))
    assert "…" in drawn
    assert '"' not in drawn.split("x" * 10)[1].split("│")[0]


def test_two_ends_stand_side_by_side_with_what_one_sends_facing_the_other() -> None:
    drawn = text.picture([connection(), connection(B, A, b"", "b")])
    row = next(line for line in drawn.splitlines() if "in  " in line)
    assert row.index("in  ") < row.index("◄───") < row.index("out  ")


def test_sockets_on_one_local_port_are_told_apart_in_one_table() -> None:
    rows = text.picture([LISTENER, connection(), connection(peer=C, name="a_for_c")]).splitlines()
    assert "local port 6666 · 3 sockets" in rows[0]
    assert sum("127.0.0.101:6666" in row for row in rows) == 3
    assert any("LISTEN" in row and "*" in row for row in rows)


def test_only_open_sockets_are_counted() -> None:
    closed = replace(LISTENER, closed=True, state="CLOSED", waiting=None)
    assert "local port 6666 · 1 socket, 1 closed" in text.picture([closed, connection(peer=C)])
    assert "local port 6666 · 2 sockets ─" in text.picture([LISTENER, connection(peer=C)])


def test_a_listeners_connections_have_the_names_that_were_given() -> None:
    listener = replace(LISTENER, connections=(connection(name=""), connection(peer=C, name="")))
    rows = text.picture([listener, connection(B, A, b"", "ann")]).splitlines()
    assert any("◄─► ann 127.0.0.110:50320  ESTABLISHED  in 6 B" in row for row in rows)
    assert any("  ◄─► 127.0.0.115:40520  ESTABLISHED" in row for row in rows)
    rows = text.picture([listener, connection(), connection(B, A, b"", "ann")]).splitlines()
    assert any("a_for_b ◄─► ann 127.0.0.110:50320" in row for row in rows)


def test_closed_is_said_and_unknown_is_absent() -> None:
    closed = text.picture(SCENES["closed"])
    assert "closed · TIME_WAIT" in closed
    assert "in  " not in closed
    for view in SCENES["nothing known"]:
        unknown = text.picture([view])
        assert "None" not in unknown
        assert " B" not in unknown
        assert "backlog" not in unknown


def test_a_state_that_waits_for_this_program_says_so() -> None:
    waiting = replace(connection(), state="CLOSE_WAIT")
    words = "the other end has finished; this end has not closed yet"
    assert words in text.connection(waiting)
    beside = [
        row.split("│")[1].strip() for row in text.ends(waiting, connection(B, A, b"", "b"), 100).split("\n")[1:-1]
    ]
    assert words in " ".join(beside)
    for shown in (waiting, replace(waiting, closed=True), connection()):
        assert (words in connection_html(EndView(shown))) == (shown is waiting)
        pair = PairView(EndView(shown), EndView(connection(B, A, b"", "b")))
        assert (words in lens_text(pair, 100)) == (shown is waiting)
        assert (words in lens_html(pair)) == (shown is waiting)


@pytest.mark.parametrize(
    ("rtt", "rttvar", "shown"),
    [
        (5180, 10_300, "5,180 ± 10,300 µs"),
        (17, 8, "17 ± 8 µs"),
        (45_300, 12_000, "45.3 ± 12.0 ms"),
        (45_300, 0, "45,300 ± 0 µs"),
    ],
)
def test_a_round_trip_has_one_unit(rtt: int, rttvar: int, shown: str) -> None:
    path = PathView(rtt, rttvar, None, None, None, None, None)
    assert f"round trip</span> {shown}<" in connection_html(EndView(connection(), path))


def test_line_is_one_line() -> None:
    assert text.line(connection()) == "ESTABLISHED  in 6 of 131,072  out 0 of 2,626,560  sent 0  taken 0"
    assert text.line(connection(), 60) == "ESTABLISHED  in 6  out 0  sent 0  taken 0"
    assert text.line(connection(), 35) == "ESTABLISHED  in 6  out 0"  # what has no room is left out, not cut


# -- with live sockets


def test_a_view_copies_what_the_socket_says_and_reads_nothing() -> None:
    client, server = sl.pair()
    with client, server:
        client.sendall(b"seen, not read")
        assert server.peek(timeout=5) == b"seen, not read"
        view = view_of(server, "server")
        assert isinstance(view, ConnectionView)
        assert view.input is not None
        assert (view.local, view.peer, view.name) == (server.local_addr, server.peer_addr, "server")
        assert (view.input.total, view.input.first) == (14, b"seen, not read")
        assert server.recv(100, timeout=5) == b"seen, not read"
        assert view.input.first == b"seen, not read"


def test_show_draws_open_and_closed_sockets(capsys: pytest.CaptureFixture[str]) -> None:
    with sl.listen() as listener, sl.connect(listener.local_addr) as client, listener.accept(timeout=5) as served:
        show(listener, client=client)
        drawn = capsys.readouterr().out
        assert str(listener.local_addr) in drawn
        assert "LISTEN" in drawn
        assert "client" in drawn
    show(listener, client, served)
    drawn = capsys.readouterr().out
    assert drawn.count("closed") == 3
    assert str(listener.local_addr) in drawn


def test_show_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(TypeError, match="not int"):
        show(3)  # type: ignore[arg-type]


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("encoding", "corner"), [("utf-8", "╭"), ("ascii", "+"), ("latin-1", "+")])
def test_show_uses_the_terminals_width_and_characters(
    monkeypatch: pytest.MonkeyPatch, encoding: str, corner: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", _Terminal(raw, encoding=encoding))
    monkeypatch.setenv("COLUMNS", "50")
    show(connection(data="naïve 日本".encode()))
    lines = raw.getvalue().decode(encoding).splitlines()
    assert lines[0].startswith(corner)
    assert {cells(line) for line in lines} == {50}


@pytest.mark.parametrize(
    ("asked", "width"), [("", 80), ("60", 60), ("92", 92), ("300", 100), ("0", 80), ("-5", 80), ("wide", 80)]
)
def test_columns_is_obeyed_up_to_a_hundred(monkeypatch: pytest.MonkeyPatch, asked: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", asked)
    assert Screen(io.StringIO()).width == width


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize(("columns", "width"), [(92, 92), (300, 100), (0, 80)])
def test_a_terminal_tells_its_width(monkeypatch: pytest.MonkeyPatch, columns: int, width: int) -> None:
    import termios

    monkeypatch.delenv("COLUMNS", raising=False)
    mine, theirs = os.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, columns))
        with open(theirs, "w", encoding="utf-8", closefd=False) as stream:
            assert Screen(stream).width == width
    finally:
        os.close(mine)
        os.close(theirs)
