"""The promise: what is watched is looked at ten times a second at the most, keeps nothing open, ends with its objects, and prints
nothing; where nothing can move there is a picture all the same.
"""

from __future__ import annotations

import gc
import sys
from typing import Any
from weakref import ref

import pytest
import socklens as sl
from helpers import eventually
from socklens.display.live import (
    GoneView,
    Speed,
    WatchedView,
    WatchView,
    per_second,
    watch_frame,
    watch_html,
    watch_text,
)
from socklens.seeing import _sampling, _watch

pytestmark = pytest.mark.usefixtures("no_leaks")


class Frames:
    """Stands in for the widget: remembers what it was given."""

    def __init__(self, frame: str) -> None:
        self.frames = [frame]

    frame = property(lambda self: self.frames[-1], lambda self, frame: self.frames.append(frame))

    def _repr_mimebundle_(self) -> dict[str, Any]:
        return {"application/vnd.jupyter.widget-view+json": {}}


@pytest.fixture
def in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a kernel with anywidget, but for the browser."""
    module = type("_widget", (), {"Frames": Frames})
    monkeypatch.setitem(sys.modules, "socklens.seeing._widget", module)
    monkeypatch.setattr(_watch, "_in_a_kernel", lambda: True)


def test_without_a_notebook_it_is_a_picture(pair: tuple[sl.Connection, sl.Connection], listener: sl.Listener) -> None:
    with sl.Server(sl.Echo()) as server:
        watch = sl.watch(server, listener, pair[0])
        assert (watch.running, watch._thread) == (False, None)
        bundle = watch._repr_mimebundle_()
        assert isinstance(bundle, dict)
        assert sorted(bundle) == ["text/html", "text/plain"]
        for shown in ("Echo", str(listener.local_addr), str(pair[0].local_addr)):
            assert shown in bundle["text/html"]
            assert shown in bundle["text/plain"]
        assert "snapshot" in bundle["text/html"]
        watch.stop()


@pytest.mark.usefixtures("in_a_notebook")
def test_it_moves_and_ends_with_its_objects(capfd: pytest.CaptureFixture[str]) -> None:
    client, server = sl.pair()
    watch = sl.watch(client, server)
    bundle = watch._repr_mimebundle_()
    assert isinstance(bundle, tuple)
    assert sorted(bundle[0]) == ["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"]
    assert watch.running
    client.send(b"<b>hello")
    eventually(lambda: "&lt;b&gt;hello" in watch._widget.frame, what="a frame with the bytes")
    assert "<b>hello" not in watch._widget.frame
    client.close()
    server.close()
    eventually(lambda: not watch.running, what="the end of the watch")
    eventually(lambda: "stopped" in watch._widget.frame)
    assert watch.error is None
    watch.stop()
    assert capfd.readouterr() == ("", "")


def test_what_is_closed_is_said_to_be_closed_with_its_last_totals() -> None:
    client, server = sl.pair()
    client.send(b"hello")
    eventually(lambda: len(server.input_buffer) == 5)
    server.recv(3)
    server.send(b"ok")
    eventually(lambda: len(client.input_buffer) == 2)
    watch = sl.watch(client, server)
    server.close()
    client.close()
    text = " ".join(repr(watch).split())
    assert "5 sent, 3 taken; server is closed: what it had not read is gone." in text
    assert "2 sent, 0 taken; client is closed: what it had not read is gone." in text
    assert "server's receive queue closed" in text
    for drawn in (text, watch._repr_html_().partition("</style>")[2]):
        assert "?" not in drawn
        assert "unknown" not in drawn
        assert "5 sent, 3 taken" in drawn
    assert ">closed<" in watch._repr_html_()
    assert "total sent 5 B, taken 0 B" in repr(sl.watch(client))


@pytest.mark.usefixtures("in_a_notebook")
def test_an_export_has_a_picture_beside_the_widget(
    pair: tuple[sl.Connection, sl.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, *, raw, metadata=None: shown.append(data))
    watch = sl.watch(pair)
    watch._ipython_display_()
    watch.stop()
    still, live = shown
    assert still["text/html"].startswith('<div class="socklens-still"><style>')
    assert sorted(live) == ["application/vnd.jupyter.widget-view+json"]


@pytest.mark.usefixtures("in_a_notebook")
def test_stop_ends_it_and_nothing_new_is_nothing_sent(
    pair: tuple[sl.Connection, sl.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socklens.seeing._sampling.SAMPLES", 5)
    watch = sl.watch(pair)
    watch._repr_mimebundle_()
    eventually(lambda: len(watch._samplers[0]._meters[0]._samples) == 5, timeout=20, what="a full line")
    frames = len(watch._widget.frames)
    at = watch._samplers[0]._meters[0]._at
    eventually(lambda: watch._samplers[0]._meters[0]._at > at + 0.3)
    assert len(watch._widget.frames) == frames
    watch.stop()
    watch.stop()
    assert not watch.running
    assert "stopped" in watch._widget.frame


@pytest.mark.usefixtures("in_a_notebook")
def test_to_be_watched_keeps_nothing_open() -> None:
    client, server = sl.pair()
    watch = sl.watch(client)
    watch._repr_mimebundle_()
    held = ref(client)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del client
        eventually(lambda: (gc.collect(), held() is None)[1])
    eventually(lambda: "is no more" in watch._widget.frame)
    eventually(lambda: not watch.running)
    watch.stop()
    server.close()


@pytest.mark.usefixtures("in_a_notebook")
def test_an_error_in_the_thread_is_kept_and_not_printed(
    pair: tuple[sl.Connection, sl.Connection], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = sl.watch(pair)
    watch._repr_mimebundle_()

    def fail(_view: WatchView) -> str:
        raise RuntimeError("no comm")

    monkeypatch.setattr(_watch, "watch_frame", fail)
    pair[0].send(b"x")
    eventually(lambda: watch.error is not None)
    watch.stop()
    assert str(watch.error) == "no comm"
    assert capfd.readouterr() == ("", "")


def test_only_what_can_be_watched_is(pair: tuple[sl.Connection, sl.Connection]) -> None:
    with pytest.raises(TypeError, match="takes what is to be watched"):
        sl.watch()
    with pytest.raises(TypeError, match="not int"):
        sl.watch(pair[0], 5)  # type: ignore[arg-type]


def test_two_ends_are_one_picture_in_any_order(
    pair: tuple[sl.Connection, sl.Connection], listener: sl.Listener
) -> None:
    assert len(sl.watch(pair[1], listener, pair[0])._samplers) == 2
    assert len(sl.watch(pair, listener)._samplers) == 2
    assert len(sl.watch(*pair)._samplers) == 1


def test_speed_is_what_moved_between_two_looks() -> None:
    meter = _sampling.Meter("sent")
    assert meter.read({"b": 1000}, 10.0).samples == ()
    assert meter.read({"b": 1500}, 10.5).samples == (1000,)
    assert meter.read({"b": 1500, "c": 100}, 10.6).samples == (1000, 1000)  # c is new, and has sent 100
    assert meter.read({"c": 100}, 10.7).samples == (1000, 1000, 0)  # who leaves takes nothing back
    assert per_second(1500) == "1.4 KiB/s"


def test_the_same_view_is_the_same_drawing() -> None:
    view = WatchView((WatchedView(GoneView("<i>b</i>"), (Speed("a → b", (0, 500, 250)),)),), "live")
    for draw in (watch_html, watch_frame):
        assert draw(view) == draw(view)
        assert "<i>" not in draw(view)
        assert 'aria-label="a → b: 250 B/s"' in draw(view)
    assert watch_frame(view) in watch_html(view)
    assert watch_text(view) == "<<i>b</i> is no more>\na → b: 250 B/s"
