"""The promise: a drawn story can be read: a chat of three fits a notebook's cell, what failed is written out, thousands of calls take
little room.
"""

from __future__ import annotations

import itertools
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import socklens as sl
from serving import client_of
from sleeping import sleeping_call
from socklens import Story
from socklens.display.ladder import layout
from socklens.display.ladder_places import WIDEST, Box, _inside, wide
from socklens.display.ladder_svg import _legend, ladder_svg
from socklens.story._cast import cast
from socklens.story._ledger import ledger
from socklens.story._names import _of_loops

CELL = 1080  # pixels that JupyterLab leaves an output where the window has 1,280


@pytest.fixture(scope="module")
def chat() -> Story:
    with sl.record() as story, sl.Server(sl.Chat()) as room:
        ana, ben, cleo = (sl.connect(room.local_addr, timeout=20) for _ in range(3))
        for who, name in ((ana, b"ana\n"), (ben, b"ben\n"), (cleo, b"cleo\n")):
            who.sendall(name)
            assert who.recv_line(timeout=20).startswith(b"* Welcome")
        ana.sendall(b"hello everybody\n")
        for other in (ben, cleo):
            while b"hello" not in other.recv_line(timeout=20):
                pass
        for one in (ana, ben, cleo):
            one.close()
    return story


@pytest.fixture(scope="module")
def crash() -> Story:
    def handler(conn: sl.Connection) -> None:
        int(conn.recv_line())

    with sl.record() as story, sl.Server(handler) as server:
        for _ in range(3):
            with client_of(server) as client:
                client.sendall(b"x<b>\n")
                assert client.recv() == b""
    return story


@pytest.fixture(scope="module")
def thousands() -> Story:
    with sl.record() as story, sl.Server(sl.LineEcho()) as server:
        for _ in range(6):
            with client_of(server) as client:
                for i in range(200):
                    client.sendall(b"x" * (i % 17) + b"\n")
                    client.recv_line()
    return story


def drawing(story: Story) -> str:
    """What a cell shows, one above the other: the lifelines' names, and the calls."""
    found = re.search(r"<svg.*</svg>", story._repr_html_(), re.DOTALL)
    assert found is not None
    return f"<div>{found[0]}</div>"


def width_of(drawn: str) -> float:
    """In pixels; of two drawings, the one that both have."""
    (width,) = {one.get("width", "0") for one in ET.fromstring(drawn).iter() if one.tag.endswith("}svg")}
    return float(width)


def texts(svg: str) -> list[tuple[float, str, str]]:
    """Where each text stands, how it is anchored there, and its words."""
    found = [one for one in ET.fromstring(svg).iter() if one.tag.endswith("}text")]
    return [(float(one.get("x", "0")), one.get("text-anchor", "start"), "".join(one.itertext())) for one in found]


def swift(story: Story) -> str:
    """The drawing as if no call had waited: waits have words of their own."""
    events = [replace(event, began=event.ended) for event in story.events]
    return f"<div>{ladder_svg(layout(events, cast(events), ledger(events)), standalone=False)}</div>"


def test_a_chat_of_three_fits_a_cell(chat: Story) -> None:
    least = re.search(r"min-width:(\d+)px", drawing(chat))
    assert least is not None
    assert len(chat._layout().columns) == 7
    assert int(least[1]) <= CELL
    assert CELL <= WIDEST


@pytest.mark.parametrize("name", ["chat", "crash", "thousands"])
def test_no_words_leave_the_drawing(name: str, request: pytest.FixtureRequest) -> None:
    story = request.getfixturevalue(name)
    for svg in (drawing(story), story.to_svg()):
        width = width_of(svg)
        for x, anchor, words in texts(svg):
            long = wide(words)
            left = {"start": x, "middle": x - long / 2, "end": x - long}[anchor]
            assert left >= -1, words
            assert left + long <= width + 1, words


def test_a_legend_takes_as_many_lines_as_it_needs() -> None:
    with sl.record() as story:
        client, server = sl.pair()
        client.close()
        server.close()
    svg = ET.fromstring(story.to_svg())
    lines = [one for one in svg.iter() if one.tag.endswith("}text") and " · " in (one.text or "")]
    assert len(lines) > 1
    assert " · ".join(one.text or "" for one in lines) == " · ".join(_legend(story._layout()))
    assert float(lines[-1].get("y", "0")) < float(svg.get("height", "0")) - 4


def test_a_page_shows_the_whole_drawing(thousands: Story) -> None:
    """A notebook's cell scrolls what is long; a page of its own scrolls by itself."""
    assert "max-height: 44rem" in thousands._repr_html_()
    assert "sl-page" not in thousands._repr_html_().partition("</style>")[2]
    page = thousands.to_html()
    assert '<body class="socklens-story sl-page"' in page
    assert ".socklens-story.sl-page .sl-scroll { max-height: none; overflow: visible; }" in page


def test_the_names_stay_in_sight(chat: Story) -> None:
    names, calls = ET.fromstring(drawing(chat))
    assert "sl-names" in names.get("class", "")
    assert ".sl-names { position: sticky; top: 0;" in chat._repr_html_()
    who = chat._layout().columns
    shown = texts(ET.tostring(names, encoding="unicode"))
    assert [words for _, _, words in shown[1::2]] == [column.endpoint for column in who]
    for column, (_, _, words) in zip(who, shown[::2], strict=True):
        assert words in (column.title, column.title.removeprefix(f"{column.role} "))
    for (x, _, words), (next_x, _, next_words) in pairwise(shown[::2]):
        assert x + wide(words) / 2 < next_x - wide(next_words) / 2, "none runs into its neighbour's"
    assert names.get("style") == calls.get("style"), "both become narrower alike"
    (_, _, *_), (_, top, *_) = (one.get("viewBox", "").split() for one in (names, calls))
    assert top == names.get("height"), "the calls begin where the names end"
    assert not {column.title for column in who} & {
        words for _, _, words in texts(ET.tostring(calls, encoding="unicode"))
    }


def test_what_failed_is_written_out(crash: Story) -> None:
    said = [words for _, _, words in texts(drawing(crash)) if words.startswith("handler ")]
    assert len(said) == 3
    assert said[0] == r"handler ValueError: invalid literal for int() with base 10: b'x<b>\n'"


def test_what_failed_is_written_out_beside_one_client_too() -> None:
    with sl.record() as story, sl.Server(lambda conn: int(conn.recv_line())) as server, client_of(server) as client:
        client.sendall(b"x<b>\n")
        assert client.recv() == b""
    assert "handler ValueError: invalid literal for int() with base 10: b&#x27;x&lt;b&gt;\\n&#x27;</text>" in drawing(
        story
    )


def test_how_many_a_folded_row_has_is_written_out(thousands: Story) -> None:
    shown = [(x, words) for x, _, words in texts(drawing(thousands)) if re.match(r"server send [\d,]+ times", words)]
    last = max(x for x, _ in shown)
    inner = [words for x, words in shown if x < last]  # those of the last lifeline have the edge beside them
    assert inner
    assert all(re.fullmatch(r"server send [\d,]+ times, [\d.]+ K?B", words) for words in inner)


def test_a_cross_is_a_failure_and_nothing_else(thousands: Story, chat: Story) -> None:
    for story, count in ((thousands, True), (chat, any(len(mark.numbers) > 1 for mark in chat._layout().marks))):
        for form in (story.to_svg(), story.to_html()):
            assert ("9 times: so many calls in one row" in form) == count
            assert "× fails" in form
            assert not re.search(r"× \d|\d ×", form)
        assert not re.search(r"× \d|\d ×", story.to_text())
    assert 'rows: "times" tells how many are in one' in str(thousands)


def test_folded_rows_wait_behind_one_line(thousands: Story) -> None:
    html = thousands._repr_html_()
    folded = sum(len(mark.numbers) > 1 for mark in thousands._layout().marks)
    assert folded > 8
    assert html.count("<details") == 1 + min(folded, 80)
    first = re.search(r"<details><summary>([^<]*)</summary><details>", html)
    assert first is not None
    assert first[1] == f"{folded} folded rows, call by call"


def test_the_ledger_calls_sockets_by_what_tells_them_apart(chat: Story) -> None:
    ledger = str(chat.ledger())
    assert re.search(r"#\d+ sendall: client ana +#\d+ server recv: accepted from \d+ ", ledger)
    with sl.record() as story:
        client, server = sl.pair()
        client.send(b"hi")
        assert server.recv() == b"hi"
    assert re.search(r"#\d+ send: client client +#\d+ recv: accepted server ", str(story.ledger()))
    client.close()
    server.close()


def test_a_variable_of_a_loop_is_the_last_name_to_take() -> None:
    with sl.record() as story, sl.listen() as room:
        for who in [sl.connect(room.local_addr)]:
            who.close()  # it is known before the others are
        ana, ben = sl.connect(room.local_addr), sl.connect(room.local_addr)
        for _, who in enumerate([ana, ben]):
            who.send(b"hello")
        for guest in [sl.connect(room.local_addr)]:
            guest.send(b"hello")
        for conn in (ana, ben):
            conn.close()
        guest.close()
    titles = [column.title for column in story._layout().columns]
    assert {"client ana", "client ben", "client guest"} <= set(titles), titles
    assert not {"client who", "client conn"} & set(titles)


def test_which_variables_loops_assign() -> None:
    code = """
def function(pairs, plain):
    for a in plain: a.send()
    for b, (c, d) in pairs: print(b, c, d)
    for e, f in pairs: pass
    g = [h for h in plain]
    for i, *j in pairs: k = i
"""
    names: dict[str, Any] = {}
    exec(compile(code, "loops", "exec"), names)
    found = _of_loops(names["function"].__code__)
    assert {"a", "b", "c", "d", "e", "f", "i", "j"} <= found
    assert not {"g", "k", "plain", "pairs"} & found


def test_the_life_of_one_connection_fits_a_page_of_the_documentation() -> None:
    with sl.record() as story:
        with sl.listen() as listener:
            client = sl.connect(listener.local_addr)
            server = listener.accept(timeout=5)
        client.sendall(b"hello")
        assert server.recv() == b"hello"
        client.close()
        assert server.recv() == b""
        server.close()
    svg = swift(story)
    least = re.search(r"min-width:(\d+)px", svg)
    assert least is not None
    assert int(least[1]) <= 737  # what furo leaves its text in a window of 1,280


@pytest.mark.parametrize("sizes", [(3, 3, 5), (1,) * 3, (5, 700), (3, 3, 2, 4)])
def test_how_much_each_of_several_sends_gave_one_recv_can_be_read(sizes: tuple[int, ...]) -> None:
    with sl.record() as story:
        client, server = sl.pair()
        for number, count in enumerate(sizes):
            (client.send if number % 2 else client.sendall)(b"x" * count)
        server.recv_exactly(sum(sizes))
        client.close()
        server.close()
    drawn = ET.fromstring(swift(story))
    lines = [
        tuple((float(one.get(x, "")), float(one.get(y, ""))) for x, y in (("x1", "y1"), ("x2", "y2")))
        for one in drawn.iter()
        if one.get("class") == "sl-bytes"
    ]
    told = [one for one in drawn.iter() if one.get("class") == "sl-seg" and re.fullmatch(r"\d+ B", one.text or "")]
    assert [one.text for one in told] == [f"{count} B" for count in sizes]
    boxes = []
    for one in told:
        x, y, half = float(one.get("x", "")), float(one.get("y", "")), wide(one.text or "") / 2
        boxes.append(Box(x - half, y - 9, x + half, y + 1))
    assert not any(one.overlap(other) for one, other in itertools.combinations(boxes, 2))
    for own, box in enumerate(boxes):
        assert not any(_inside(box, (line[0], line[1])) for other, line in enumerate(lines) if other != own)


def test_the_last_columns_words_are_not_cut_where_there_is_room() -> None:
    with sl.record() as story, sl.listen() as lis:
        ends = []
        for _ in range(2):
            ends.append((sl.connect(lis.local_addr), lis.accept(timeout=20)))
            for one, other in (ends[-1], ends[-1][::-1]):
                one.sendall(b"welcome\n")
                assert other.recv_line(timeout=20) == b"welcome\n"
        for one, other in ends:
            one.close()
            other.close()
    drawn = swift(story)
    assert width_of(drawn) <= WIDEST
    _, _, words = max(one for one in texts(drawn) if one[2].startswith("recv_line"))
    assert words == r'recv_line 8 B "welcome\n"'


def test_a_few_letters_of_the_bytes_are_no_use(chat: Story) -> None:
    assert not [words for _, _, words in texts(drawing(chat)) if re.search(r' B ("..?)?…$', words)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_wait_that_a_close_has_ended_is_no_fault() -> None:
    with sl.record() as story:
        listener = sl.listen()
        with sleeping_call(listener.accept) as waiting:
            listener.close()
        with pytest.raises(sl.ClosedError):
            waiting.result(10)
        with pytest.raises(sl.ClosedError):
            listener.accept()
    marks = [mark for mark in story._layout().marks if mark.text.startswith("accept")]
    assert [mark.kind for mark in marks] == ["life", "error"]
    assert marks[0].text.startswith("accept ended by close()")
    assert marks[1].text == "accept ClosedError"
