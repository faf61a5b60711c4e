"""The promise: the drawings of a story say what happened to the bytes; everything from a peer is escaped; drawings stay readable."""

from __future__ import annotations

import html
import json
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import socklens as sl
from helpers import eventually
from socklens import Connection, Story
from socklens.display.escape import cells
from socklens.display.glyphs import ASCII
from socklens.display.ladder import MOST_COLUMNS, MOST_ROWS, Layout, layout
from socklens.display.ladder_text import ladder_text
from socklens.story._cast import cast
from socklens.story._ledger import ledger

Pair = tuple[Connection, Connection]
EVIL = b"</text><script>alert(1)</script>\x1b[31m"


def laid_out(story: Story) -> Layout:
    return layout(story.events, cast(story.events), story.ledger(), story.lost)


@pytest.fixture(scope="module")
def session() -> Story:
    """From listen to RST: two clients, a wait, a timeout, repeats, a half-close, a refusal, and bytes that would do harm."""
    with sl.record() as story:
        with sl.listen() as listener:
            one = sl.connect(listener.local_addr)
            to_one = listener.accept(timeout=5)
            threading.Timer(0.02, one.sendall, (EVIL,)).start()
            assert to_one.recv_exactly(len(EVIL), timeout=5) == EVIL
            for _ in range(50):
                one.sendall(b"ping\n")
                assert to_one.recv_line() == b"ping\n"
            two = sl.connect(listener.local_addr)
            to_two = listener.accept(timeout=5)
            two.sendall(b"unread")
            eventually(lambda: len(to_two.input_buffer))
            with pytest.raises(TimeoutError):
                to_one.recv(timeout=0.01)
            one.shutdown("send")
            assert to_one.recv() == b""
            to_one.sendall(b"bye")
            assert one.recv() == b"bye"
            for conn in (to_one, one, to_two):
                conn.close()
            with pytest.raises(ConnectionResetError):
                two.recv(timeout=5)
            two.close()
        with pytest.raises(ConnectionRefusedError):
            sl.connect("127.0.0.1", 1)
    return story


def test_the_forms_of_a_ledger(session: Story) -> None:
    ledger = session.ledger()
    assert str(ledger).splitlines()[0].split() == ["send", "recv", "bytes", "count", "fate", "first", "of", "them"]
    assert len(ledger.to_dicts()) == len(ledger)
    assert "<script>" not in ledger._repr_html_()
    assert "\x1b" not in str(ledger)
    assert "6 B never read" in repr(ledger)
    assert ledger[0:2] == (ledger[0], ledger[1])


class TestTheDrawing:
    def test_the_listener_stands_between_its_first_client_and_that_clients_socket(self, session: Story) -> None:
        roles = [column.role for column in laid_out(session).columns]
        assert roles == ["client", "listener", "accepted", "client", "accepted", "client"]

    def test_a_listener_that_was_there_before_is_one(self, listener: sl.Listener) -> None:
        with sl.record() as story:
            listener.close()
        assert [column.role for column in laid_out(story).columns] == ["listener"]

    def test_waiting_is_length(self, session: Story) -> None:
        waits = [m for m in laid_out(session).marks if "recv_exactly" in m.text or "TimeoutError" in m.text]
        assert len(waits) == 2
        assert all(mark.top < mark.row and "ms]" in mark.text for mark in waits), waits

    def test_repeats_are_folded(self, session: Story) -> None:
        drawn = laid_out(session)
        folded = [mark.text for mark in drawn.marks if len(mark.numbers) > 1]
        assert folded == ["sendall 50 times, 250 B", "recv_line 50 times, 250 B"]
        assert drawn.rows < 45

    def test_bytes_are_arrows_and_what_nobody_saw_is_inferred(self, session: Story) -> None:
        arrows = laid_out(session).arrows
        assert [a.text for a in arrows if a.line == "bytes"] == [f"{len(EVIL)} B", "250 B", "3 B"]
        assert [a.text for a in arrows if a.line == "pending"] == ["6 B never read"]
        assert [a.text for a in arrows if a.line == "inferred"] == [
            *("SYN", "SYN+ACK", "ACK") * 2,
            *("FIN", "FIN", "RST"),
        ]
        assert [a.text for a in arrows if a.line == "birth"] == ["new socket"] * 2
        assert all(a.start[1] <= a.end[1] for a in arrows)

    def test_a_cause_stands_above_its_effect_whoever_was_recorded_first(self) -> None:
        with sl.record() as story, sl.listen() as listener:
            client, server = sl.connect(listener.local_addr), listener.accept()
            client.send(b"cause")
            assert server.recv() == b"cause"
            client.close()
            server.close()
        connect, accept, send, recv = sorted(story.events, key=lambda event: event.number)[1:5]
        assert [event.call for event in (connect, accept, send, recv)] == ["connect", "accept", "send", "recv"]
        # As two threads may end them.
        swapped = [
            replace(accept, number=1),
            replace(connect, number=2, ended=accept.ended + 1e-5),
            replace(recv, number=3),
            replace(send, number=4, ended=recv.ended + 1e-5),
        ]
        drawn = layout(swapped, cast(swapped), ledger(swapped))
        assert [mark.text.split()[0] for mark in drawn.marks] == ["connect", "accept", "send", "recv"]
        assert all(arrow.start[1] <= arrow.end[1] for arrow in drawn.arrows)
        assert [arrow.number for arrow in drawn.arrows if arrow.line == "bytes"] == [4]
        assert "← 5 B of #4" in ladder_text(drawn, 80)
        assert "#4 send 5 B" in ladder_text(drawn, 80)

    def test_a_reset_stands_above_the_call_that_met_it(self, pair: Pair) -> None:
        client, server = pair
        with sl.record() as story:
            server.abort()
            with pytest.raises(ConnectionResetError):
                client.recv(timeout=5)
        abort, recv = story.events
        swapped = [replace(recv, number=1), replace(abort, number=2, ended=recv.ended + 1e-5)]
        drawn = layout(swapped, cast(swapped), ledger(swapped))
        assert [mark.text.split()[0] for mark in drawn.marks] == ["abort", "recv"]
        assert all(arrow.start[1] <= arrow.end[1] for arrow in drawn.arrows)

    def test_sockets_are_called_as_the_program_calls_them(self) -> None:
        with sl.record() as story, sl.listen() as room:
            guests = [sl.connect(room.local_addr)]
            ann = room.accept()
            guests.append(sl.connect(room.local_addr))
            unnamed = [room.accept().close]
            guests[0].send(b"hi")
            for guest in (*guests, ann):
                guest.close()
            unnamed[0]()
        del guests, ann
        labels = [column.label for column in story._layout().columns]
        for wanted in (
            "client guests[0], 127",
            "listener room, 127",
            "accepted ann, 127",
            "client guests[1], 127",
            "accepted from ",
        ):
            assert any(label.startswith(wanted) for label in labels), (wanted, labels)
        assert "send: client guests[0]  accepted ann" in str(story.ledger())
        assert "ann" in {socket["name"] for socket in json.loads(story.to_json())["sockets"]}

    def test_what_is_not_taken_has_a_row_of_its_own(self, pair: Pair) -> None:
        with sl.record() as story:
            pair[0].sendall(b"hello\nmore\n")
            pair[1].recv_line()
        drawn = laid_out(story)
        (left,) = [arrow for arrow in drawn.arrows if arrow.line == "pending"]
        assert left.start[1] not in {mark.row for mark in drawn.marks}
        assert "5 B not taken, of #1" in story.to_text(80)

    def test_the_wait_in_folded_rows_is_told(self, pair: Pair) -> None:
        with sl.record() as story:
            for _ in range(5):
                with pytest.raises(TimeoutError):
                    pair[0].recv(timeout=0.002)
        (mark,) = laid_out(story).marks
        assert "recv 5 times" in mark.text
        assert "[longest " in mark.text

    def test_nothing_is_said_to_be_nothing(self) -> None:
        with sl.record() as story:
            pass
        for drawn in (story.to_text(80), story._repr_html_(), story.to_svg()):
            assert "nothing happened" in drawn

    def test_it_is_no_wider_than_the_cell_of_a_notebook(self, session: Story) -> None:
        with sl.record() as story, sl.listen() as listener:
            for _ in range(2):
                client = sl.connect(listener.local_addr)
                with client, listener.accept():
                    client.sendall(b"some bytes that are many and unread")
        assert len(laid_out(story).columns) == 5
        assert int(ET.fromstring(story.to_svg()).get("width", "0")) <= 1100

    def test_states_stand_along_the_lifelines(self, session: Story) -> None:
        states = [mark.state for mark in laid_out(session).marks if mark.state]
        assert states[:2] == ["LISTEN", "ESTABLISHED"]
        assert {"CLOSE_WAIT", "CLOSED"} <= set(states)

    @pytest.mark.parametrize("form", ["to_svg", "to_html", "to_text", "to_mermaid", "_repr_html_", "to_json"])
    def test_nothing_from_a_peer_gets_through(self, session: Story, form: str) -> None:
        drawn = getattr(session, form)()
        assert "<script" not in drawn or form == "to_text"
        assert "\x1b" not in drawn
        assert drawn == getattr(session, form)(), "the same story gives the same drawing"

    def test_the_svg_is_well_formed_and_has_text_alternatives(self, session: Story) -> None:
        svg = ET.fromstring(session.to_svg())
        space = {"s": "http://www.w3.org/2000/svg"}
        title, described = svg.find("s:title", space), svg.find("s:desc", space)
        assert title is not None
        assert title.text == svg.get("aria-label")
        assert described is not None
        assert "connect" in (described.text or "")
        assert svg.get("role") == "img"
        texts = ["".join(node.itertext()) for node in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert any("sendall" in text for text in texts)

    def test_the_html_needs_no_network_and_opens_what_is_folded(self, session: Story) -> None:
        page = session.to_html()
        assert page.count("<details>") == 2
        assert not re.search(r"""(src|href)\s*=|@import|url\(""", page)
        assert html.escape('"ping\\n"') in page

    @pytest.mark.parametrize("width", [40, 60, 80, 120])
    def test_no_line_of_text_is_wider_than_asked(self, session: Story, width: int) -> None:
        for drawn in (session.to_text(width), ladder_text(laid_out(session), width, ASCII)):
            assert max(map(cells, drawn.splitlines())) <= width
        assert ladder_text(laid_out(session), width, ASCII).isascii()

    def test_mermaid_has_a_participant_for_every_lifeline(self, session: Story) -> None:
        lines = session.to_mermaid().splitlines()
        assert lines[0] == "sequenceDiagram"
        assert len([line for line in lines if line.startswith("    participant ")]) == 6
        assert all(re.fullmatch(r"[\w \-+>*#;.,:()\[\]/=%]+", line) for line in lines)

    def test_an_empty_story_is_drawn_too(self) -> None:
        with sl.record() as story:
            pass
        assert str(story).startswith("story: nothing happened")
        assert ET.fromstring(story.to_svg()).tag.endswith("svg")
        assert story.ledger().sent == 0


@pytest.fixture(scope="module")
def crowd() -> Story:
    """Some thousands of events in no order that repeats."""

    def echo(conn: Connection) -> None:
        while data := conn.recv(1000):
            conn.sendall(data)

    def client(seed: int) -> None:
        with sl.connect(server.local_addr) as conn:
            for i in range(60):
                n = (seed * 7919 + i * 104729) % 2500 + 1
                conn.sendall(bytes(n))
                conn.recv_exactly(n)

    with sl.record() as story, sl.Server(echo, port=0) as server:
        threads = [threading.Thread(target=client, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return story


class TestThousandsOfEvents:
    def test_they_stay_readable(self, crowd: Story) -> None:
        drawn = laid_out(crowd)
        assert len(crowd.events) > 5000
        assert len(drawn.columns) <= MOST_COLUMNS + 2
        assert len(drawn.marks) <= 1.5 * MOST_ROWS
        assert any("are not drawn" in note for note in drawn.notes)
        assert len(crowd.to_svg()) < 200_000
        assert len(crowd.to_html()) < 600_000
        assert len(str(crowd)) < 60_000

    def test_every_byte_is_in_the_ledger(self, crowd: Story) -> None:
        ledger = crowd.ledger()
        assert ledger.sent == ledger.taken == sum(e.count or 0 for e in crowd.events if e.direction == "out")
        assert ledger.not_taken == 0


def values(value: Any) -> Iterator[Any]:
    yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from values(one)


def test_json_keeps_to_its_schema(session: Story, crowd: Story) -> None:
    schema = json.loads(resources.files("socklens.story").joinpath("story.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for story in (session, crowd):
        said = json.loads(story.to_json())
        jsonschema.validate(said, schema)
        assert len(said["events"]) == len(story.events)
    assert said["events"][0]["call"] == "listen"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**said, "events": [{**said["events"][0], "before": "ASLEEP"}]}, schema)
    assert not [
        one for one in values(schema) if isinstance(one, dict) and one.get("type") == "object" and not one["required"]
    ]
