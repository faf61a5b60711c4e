"""Time lanes: drawn from a frozen view alone, as text and as SVG; and the recorder, whose times are those of client and handler."""

from __future__ import annotations

import asyncio
import threading
import xml.etree.ElementTree as ET
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from hypothesis import given
from hypothesis import strategies as st
from socklens.display import lanes as drawing
from socklens.display.escape import cells
from socklens.display.glyphs import ASCII, UNICODE, Glyphs
from socklens.display.lanes import LanesView, LaneView, Phase, Span
from socklens.lessons.lanes import Lanes

ONE = LanesView(
    title="one at a time",
    lanes=(
        LaneView("B", 0.0, (Span(Phase.SERVED, 0.0, 0.2),), done=0.2),
        LaneView("C", 0.0, (Span(Phase.QUEUE, 0.0, 0.2), Span(Phase.SERVED, 0.2, 0.4)), done=0.4),
        LaneView("D", 0.1, (Span(Phase.QUEUE, 0.1, 0.4), Span(Phase.WAITING, 0.4, 0.5)), done=0.5, failed="OSError"),
        LaneView("E", 0.2, (Span(Phase.QUEUE, 0.2, 0.6),)),
    ),
    now=0.6,
)
EVIL = replace(ONE, title="</svg><script>&", lanes=(replace(ONE.lanes[0], name='<b>\x1b\u202e"&'),))
SCENES = {
    "one": ONE,
    "evil": EVIL,
    "nobody": LanesView("", (), 0.0),
    "long names": replace(ONE, lanes=tuple(replace(lane, name="日本語" * 9) for lane in ONE.lanes)),
    "long ago": replace(ONE, now=12_345.6),
    "an instant": LanesView("", (LaneView("B", 0.0, (), done=0.0),), 0.0),
    "wide axis": replace(ONE, least=2.0),
}


def _rows(view: LanesView, width: int = 60) -> dict[str, str]:
    """The bar of each lane, by its name."""
    lines = drawing.lanes_text(view, width).splitlines()[2 : 2 + len(view.lanes)]
    return {line.split()[0]: line[3:] for line in lines}


# ── text ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [24, 40, 57, 80, 100])
@pytest.mark.parametrize("scene", SCENES)
def test_no_line_is_wider_than_asked_and_all_can_be_printed(scene: str, width: int, glyphs: Glyphs) -> None:
    for line in drawing.lanes_text(SCENES[scene], width, glyphs).split("\n"):
        assert cells(line) <= max(width, 40)
        assert line.isprintable()
        assert line.isascii() or glyphs is UNICODE


@pytest.mark.parametrize("scene", SCENES)
def test_same_view_same_drawing(scene: str) -> None:
    view = SCENES[scene]
    assert drawing.lanes_text(view) == drawing.lanes_text(replace(view))
    assert drawing.lanes_html(view) == drawing.lanes_html(replace(view))


def test_a_bar_is_as_long_as_its_time() -> None:
    rows = _rows(replace(ONE, now=0.6), width=70)
    assert abs(rows["C"].count("░") - rows["C"].count("█")) <= 1
    assert abs(rows["B"].count("█") - rows["C"].count("█")) <= 1
    assert abs(rows["E"].count("░") - 2 * rows["B"].count("█")) <= 2
    assert rows["B"].endswith("● " + rows["B"].partition("● ")[2])
    assert rows["B"].split()[-2:] == ["0.20", "s"]
    assert "x" in rows["D"]
    assert rows["D"].split()[-1] == "OSError"
    assert rows["E"].endswith("0.40 s so far")
    assert "●" not in rows["E"]


def test_the_phases_of_a_lane_follow_one_another() -> None:
    assert _rows(ONE)["D"].replace(" ", "").startswith("░")
    bar = _rows(ONE)["D"].split("x")[0].strip()
    assert bar == "░" * bar.count("░") + "▒" * bar.count("▒")


def test_a_longer_axis_makes_shorter_bars() -> None:
    assert _rows(replace(ONE, least=1.2))["C"].count("█") < _rows(ONE)["C"].count("█")


def test_what_is_derived_is_said() -> None:
    for drawn in (drawing.lanes_text(ONE, 200), drawing.lanes_html(ONE)):
        assert "the time in the accept queue is derived: from connected to the handler" in drawn


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.lists(st.floats(0, 100, allow_nan=False), min_size=4, max_size=4)), max_size=5
    ),
    st.integers(40, 100),
)
def test_any_times_fit(lanes: list[tuple[str, list[float]]], width: int) -> None:
    built = []
    for name, moments in lanes:
        a, b, c, d = sorted(moments)
        spans = (Span(Phase.QUEUE, a, b), Span(Phase.WAITING, b, c), Span(Phase.SERVED, c, d))
        built.append(LaneView(name, a, spans, done=d))
    view = LanesView("any", tuple(built), 100.0)
    assert all(cells(line) <= width for line in drawing.lanes_text(view, width).split("\n"))
    if built:
        ET.fromstring(drawing.lanes_svg(view))


# ── SVG ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

_SVG = "{http://www.w3.org/2000/svg}"


def _texts(view: LanesView) -> list[str]:
    return [text.text or "" for text in ET.fromstring(drawing.lanes_svg(view)).iter(f"{_SVG}text")]


def test_the_picture_has_words_for_who_does_not_see_it() -> None:
    root = ET.fromstring(drawing.lanes_svg(ONE))
    assert root.get("role") == "img"
    title, desc = root.find(f"{_SVG}title"), root.find(f"{_SVG}desc")
    assert title is not None
    assert desc is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert title.text == "one at a time"
    assert "C: came at 0.00 s, in the accept queue for 0.20 s, is being served for 0.20 s, done after 0.40 s." in str(
        desc.text
    )
    assert "E: came at 0.20 s, in the accept queue for 0.40 s, not done after 0.40 s so far." in str(desc.text)


def test_colour_is_not_the_only_cue() -> None:
    drawn = drawing.lanes_svg(ONE)
    for kind in ("queue", "waiting"):
        assert f'<pattern id="socklens-{drawn.split("socklens-")[1][:12]}-{kind}"' in drawn
    assert {"accept queue", "served", "Q", "W", "S"} <= set(_texts(ONE))


def test_no_name_breaks_out_of_the_picture() -> None:
    drawn = drawing.lanes_html(EVIL)
    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    assert r'<b>\x1b\u202e"&' in _texts(EVIL)
    assert "</svg><script>&" in _texts(EVIL)


def test_the_ids_of_two_pictures_differ() -> None:
    def ids(view: LanesView) -> set[str | None]:
        return {element.get("id") for element in ET.fromstring(drawing.lanes_svg(view)).iter() if element.get("id")}

    assert len(ids(ONE)) == 4
    assert not ids(ONE) & ids(replace(ONE, now=0.7))


def test_every_part_stays_inside_the_picture() -> None:
    for view in (ONE, SCENES["long ago"], SCENES["wide axis"]):
        root = ET.fromstring(drawing.lanes_svg(view))
        wide, high = (float(number) for number in str(root.get("viewBox")).split()[2:])
        for rect in root.iterfind(f"{_SVG}rect"):
            x, y, w, h = (float(str(rect.get(name))) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= wide
            assert 0 <= y <= y + h <= high
        for text in root.iterfind(f"{_SVG}text"):
            assert float(str(text.get("x"))) + len(text.text or "") * 4 <= wide


# ── the recorder ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _customer(lanes: Lanes, name: str, address: sl.Address) -> None:
    with lanes.client(name, address) as conn:
        conn.sendall(b"order\n")
        assert conn.recv_line(timeout=10) == b"ready\n"


def _phases(lane: LaneView) -> list[Phase]:
    return [span.phase for span in lane.spans]


@pytest.mark.usefixtures("no_leaks")
def test_one_at_a_time_the_second_waits_in_the_accept_queue(in_thread: Any) -> None:
    lanes = Lanes()
    go_on = threading.Event()

    @lanes.handler
    def serve(conn: sl.Connection) -> None:
        conn.recv_line()
        with lanes.serving(conn):
            assert go_on.wait(10)
            conn.sendall(b"ready\n")

    with sl.Server(serve, mode="one") as server:
        calls: list[Future[None]] = [in_thread(_customer, lanes, name, server.local_addr) for name in "B"]
        eventually(lambda: any(Phase.SERVED in _phases(lane) for lane in lanes.view().lanes))
        calls.append(in_thread(_customer, lanes, "C", server.local_addr))
        eventually(lambda: len(lanes.view().lanes) == 2 and lanes.view().lanes[1].spans)
        first, second = lanes.view().lanes
        assert (first.name, second.name) == ("B", "C")
        assert _phases(first)[-1] is Phase.SERVED
        assert _phases(second) == [Phase.QUEUE]
        assert first.done is second.done is None
        go_on.set()
        for call in calls:
            call.result(10)
    first, second = lanes.view().lanes
    assert Phase.SERVED in _phases(second)
    assert first.done is not None
    assert second.done is not None
    queue = next(span for span in second.spans if span.phase is Phase.QUEUE)
    served = next(span for span in first.spans if span.phase is Phase.SERVED)
    assert queue.end >= served.end - 0.001, "the second was accepted only after the first had been served"
    assert lanes.seconds == {"B": first.done - first.came, "C": second.done - second.came}


def test_a_client_that_says_nothing_has_been_accepted_and_waits() -> None:
    lanes = Lanes()

    @lanes.handler
    def serve(conn: sl.Connection) -> None:
        conn.recv_line()

    with sl.Server(serve) as server, lanes.client("B", server.local_addr):
        eventually(lambda: _phases(lanes.view().lanes[0])[-1:] == [Phase.WAITING])


def test_spans_follow_one_another_and_end_when_the_client_is_done() -> None:
    lanes = Lanes()

    @lanes.handler
    def serve(conn: sl.Connection) -> None:
        for _ in range(2):
            conn.recv_line()
            with lanes.serving(conn):
                conn.sendall(b"ready\n")

    with sl.Server(serve) as server, lanes.client("B", server.local_addr) as conn:
        for _ in range(2):
            conn.sendall(b"order\n")
            conn.recv_line(timeout=10)
    (lane,) = lanes.view().lanes
    assert lane.done is not None
    assert _phases(lane).count(Phase.SERVED) == 2
    assert all(before.end == after.begin for before, after in zip(lane.spans, lane.spans[1:], strict=False))
    assert all(span.begin < span.end for span in lane.spans)
    assert lane.spans[-1].end <= lane.done


def test_a_client_that_fails_says_how_and_the_error_goes_on() -> None:
    lanes = Lanes()
    with sl.listen() as listener, pytest.raises(TimeoutError), lanes.client("B", listener.local_addr) as conn:
        conn.recv(timeout=0.01)
    (lane,) = lanes.view().lanes
    assert lane.failed == "TimeoutError"
    assert _phases(lane) == [Phase.QUEUE]
    assert "TimeoutError" in repr(lanes)


def test_a_refused_client_has_a_lane_without_phases() -> None:
    lanes = Lanes()
    with sl.listen() as listener:
        address = listener.local_addr
    with pytest.raises(ConnectionRefusedError), lanes.client("B", address):
        pass
    (lane,) = lanes.view().lanes
    assert (lane.spans, lane.failed) == ((), "ConnectionRefusedError")
    assert "ConnectionRefusedError" in lanes._repr_html_()


def test_a_handler_stays_what_it_was() -> None:
    lanes = Lanes()

    @lanes.handler
    def plain(conn: sl.Connection) -> str:
        """Serves."""
        return "plain"

    @lanes.handler
    async def awaited(conn: sl.Connection) -> str:
        with lanes.serving(conn):
            await asyncio.sleep(0)
        return "awaited"

    client, end = sl.pair()
    with client, end:
        assert plain(end) == "plain"
        assert asyncio.run(awaited(end)) == "awaited"
    assert (plain.__name__, plain.__doc__) == ("plain", "Serves.")
    assert sl.Server(awaited).mode == "async"
    assert sl.Server(plain).mode == "threads"


def test_clear_begins_a_new_picture() -> None:
    lanes = Lanes(seconds=2)
    with sl.listen() as listener, lanes.client("B", listener.local_addr):
        pass
    lanes.clear("next")
    assert lanes.view() == LanesView("next", (), lanes.view().now, 2)
    assert repr(lanes) == "next\nno clients yet"
    assert lanes.seconds == {}
    assert "no clients yet" in lanes._repr_html_()
