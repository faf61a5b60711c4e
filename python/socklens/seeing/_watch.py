"""`watch`: pictures that move while the kernel is idle and while a cell waits. A thread looks ten times a second at the most; it
prints nothing, reads nothing, and ends with what it watches.
"""

from __future__ import annotations

import contextvars
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import Connection, Listener, _cells
from .._door import door
from ..display.live import WatchView, watch_frame, watch_html, watch_still, watch_text
from . import _names, _sampling
from ._lens import pair_names

if TYPE_CHECKING:
    from ..server import Server

    Watchable: TypeAlias = Connection | Listener | Server | tuple[Connection, Connection]

PERIOD = 0.1
"""Seconds from one frame to the next: a person sees no more, and a notebook's browser has other things to do."""

_by_cell: dict[str, Watch] = {}


class Watch:
    """A picture of sockets that moves. Made by `watch`; in a notebook it begins to move when it is shown, and it ends when all that
    it watches is closed or gone, when its cell is run again, or with ``stop()``.

    In an exported notebook, and where there is no kernel or no anywidget, it is a picture of the moment when it was shown.
    """

    def __init__(self, samplers: list[_sampling.Sampler]) -> None:
        self._samplers = samplers
        self._looking = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._widget: Any = None
        self.error: Exception | None = None
        """What ended it, if that was an error: a thread has nowhere to raise it."""

    @property
    def running(self) -> bool:
        """Whether it moves."""
        return self._thread is not None and self._thread.is_alive() and not self._end.is_set()

    def stop(self) -> None:
        """Ends it; the last picture stays. To stop twice does nothing."""
        self._end.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2)

    def __repr__(self) -> str:
        return watch_text(self._view(_still()))

    def _repr_html_(self) -> str:
        return watch_html(self._view(_still()))

    def _ipython_display_(self) -> None:
        """Two outputs: a still picture, and the widget, whose style hides the still wherever the widget lives. An exported page that
        has no widgets shows the still; in one output it would have shown nothing.
        """
        from IPython import display

        show: Callable[..., object] = display.display
        view = self._view(_still())
        show({"text/plain": watch_text(view), "text/html": watch_still(view)}, raw=True)
        if (widget := self._shown()) is not None:
            data, about = _bundle(widget)
            # By name: a second positional value would be an output of its own, with nothing in it.
            show({kind: shown for kind, shown in data.items() if kind != "text/plain"}, metadata=about, raw=True)

    def _repr_mimebundle_(self, **_asked: object) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
        view = self._view(_still())
        still = {"text/plain": watch_text(view), "text/html": watch_html(view)}
        widget = self._shown()
        if widget is None:
            return still
        data, about = _bundle(widget)
        return {**data, **still}, about

    def _shown(self) -> Any:
        """The widget, with the thread that moves it; None where nobody could see it move."""
        if self._widget is None and _in_a_kernel() and _has_widgets():
            from ._widget import Frames

            self._widget = Frames(frame=watch_frame(self._view("live")))
            # With the context of the cell that shows it: ipykernel 7.0 knows by it where messages belong.
            run = contextvars.copy_context().run
            self._thread = threading.Thread(target=run, args=(self._move,), name="socklens-watch", daemon=True)
            self._thread.start()
        return self._widget

    def _move(self) -> None:
        process, last = os.getpid(), None
        try:
            while not self._end.wait(PERIOD) and os.getpid() == process:
                view = self._view("live")
                if view != last:
                    self._widget.frame = watch_frame(view)
                    last = view
                if all(sampler.over for sampler in self._samplers):
                    break
            self._end.set()
            self._widget.frame = watch_frame(self._view("stopped"))
        except Exception as error:
            self.error = error
            self._end.set()

    def _view(self, note: str) -> WatchView:
        with self._looking:
            now = time.monotonic()
            return WatchView(tuple(sampler.sample(now) for sampler in self._samplers), note)


def watch(*things: Watchable) -> Watch:
    """A live picture: buffers that fill and drain, states, clients that come and go, and bytes a second.

        sl.watch(server)                # or a listener, connections, both ends: sl.watch(b, a_for_b), sl.watch(sl.pair())

    Let it be the last line of a cell, or hand it to ``display()``. It moves while the kernel is idle and while a later cell waits
    in ``accept`` or ``recv``; it needs JupyterLab or another front end with widgets, and ``socklens[notebook]``. Both ends of a
    connection are drawn as one picture, as `lens` does. To be watched keeps nothing open.

    Args:
        things: servers, listeners, connections, and pairs of connections.

    Returns:
        A Watch, with ``stop()``.

    Raises:
        TypeError: one of the things is something else, or there is none.
    """
    frame = sys._getframe(1)
    with door:
        samplers = list(_samplers(things, _names.scopes(frame)))
        if not samplers:
            raise TypeError("watch() takes what is to be watched: servers, listeners, connections, or a pair")
    watching = Watch(samplers)
    _replace(frame, watching)
    return watching


def _samplers(things: tuple[Watchable, ...], around: list[_names.Names]) -> Iterator[_sampling.Sampler]:
    conns = [thing for thing in things if isinstance(thing, Connection)]
    paired: set[int] = set()
    for thing in things:
        if isinstance(thing, (tuple, list)):
            if len(thing) != 2:
                raise TypeError(f"watch() takes a pair as two connections, (a, b), not {len(thing)} things")
            a, b = thing
            yield _sampling.of_pair(a, b, pair_names(a, b, around))
        elif isinstance(thing, Connection):
            if id(thing) in paired:
                continue
            other = next((c for c in conns if (c.local_addr, c.peer_addr) == (thing.peer_addr, thing.local_addr)), None)
            if other is None or other is thing:
                yield _sampling.of_connection(thing, _names.name_of(thing, around, ""))
            else:
                paired.add(id(other))
                yield _sampling.of_pair(thing, other, pair_names(thing, other, around))
        elif isinstance(thing, Listener):
            yield _sampling.of_listener(thing, _names.name_of(thing, around, ""))
        elif hasattr(thing, "clients") and hasattr(thing, "running"):
            yield _sampling.of_server(thing, _names.name_of(thing, around, ""))
        else:
            raise TypeError(f"watch() takes servers, listeners, connections and pairs, not {type(thing).__name__}")


def _replace(frame: FrameType, watching: Watch) -> None:
    """A cell that is run again stops what it watched before: its picture is gone from the page."""
    cell = _cells.current(frame)
    if cell is None:
        return
    before = _by_cell.get(cell.key)
    _by_cell[cell.key] = watching
    if before is not None:
        before.stop()


def _bundle(widget: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    bundle = widget._repr_mimebundle_()
    return bundle if isinstance(bundle, tuple) else (bundle or {}, {})


def _still() -> str:
    """What is said of a picture that does not move, and how to have one that does."""
    return (
        "snapshot"
        if _has_widgets() or not _in_a_kernel()
        else 'snapshot; for one that moves: pip install "socklens[notebook]"'
    )


def _in_a_kernel() -> bool:
    """Whether there is a notebook's kernel."""
    ipykernel = sys.modules.get("ipykernel.kernelapp")
    return ipykernel is not None and ipykernel.IPKernelApp.initialized()


def _has_widgets() -> bool:
    """Whether the library for widgets is installed."""
    return importlib.util.find_spec("anywidget") is not None
