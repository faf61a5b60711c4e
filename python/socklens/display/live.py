"""Draws what is watched, at one moment: things with their buffers, and the speed of their bytes as a line. Pure functions of frozen
views; who takes the looks, and when, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .buffers import size
from .ends import EndView, PairView
from .forms import connection_body, connections_table, listener_body
from .lens import lens_text
from .lens_html import lens_body
from .markup import attribute, element, picture, text
from .roster import ServerView, server_line, server_sentence
from .text import connection, listener
from .views import ConnectionView, ListenerView

SAMPLES = 100
"""How many samples a line shows, the newest at its right end."""

_WIDTH, _HEIGHT = 200, 30


@dataclass(frozen=True, slots=True)
class ServingView:
    """A server and the connections of its first clients."""

    server: ServerView
    clients: tuple[tuple[str, ConnectionView], ...]


@dataclass(frozen=True, slots=True)
class GoneView:
    """Something that is no more: nothing in the program holds it."""

    what: str


Drawn: TypeAlias = EndView | PairView | ListenerView | ServingView | GoneView


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast bytes went one way: samples in bytes a second, oldest first."""

    label: str
    samples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WatchedView:
    """One thing that is watched, at one moment."""

    drawn: Drawn
    speeds: tuple[Speed, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchView:
    """All that is watched, at one moment."""

    watched: tuple[WatchedView, ...]
    note: str
    """Whether it moves: "live", "stopped" or "snapshot", and why it does not."""


def watch_html(view: WatchView) -> str:
    """The whole picture with its style, for where nothing moves."""
    return picture(_body(view), "Sockets that are watched")


def watch_still(view: WatchView) -> str:
    """The whole picture, for beside a widget, which hides it."""
    return element("div", watch_html(view), "still")


def watch_frame(view: WatchView) -> str:
    """The picture without its style, for where frames follow each other."""
    return element("div", _body(view), "view", role="group", aria_label="Sockets that are watched")


def watch_text(view: WatchView) -> str:
    """The picture as text."""
    return "\n".join(
        part for watched in view.watched for part in [_text(watched.drawn), *map(_in_words, watched.speeds)]
    )


def _body(view: WatchView) -> str:
    sign = "●" if view.note == "live" else "○"
    things = "".join(element("div", _thing(watched), "watched") for watched in view.watched)
    return element("div", f"{sign} {text(view.note)}", "live") + things


def _thing(watched: WatchedView) -> str:
    drawn = watched.drawn
    match drawn:
        case PairView():
            body = lens_body(drawn)
        case EndView():
            body = connection_body(drawn)
        case ListenerView():
            body = listener_body(drawn)
        case ServingView():
            body = element("div", f"<strong>Server</strong> {text(server_sentence(drawn.server))}", "head")
            body += connections_table(drawn.clients, drawn.server.roster.total)
        case GoneView():
            body = element("div", f"{text(drawn.what)} is no more", "head")
    return body + element("div", "".join(map(_line, watched.speeds)), "speed")


def _line(speed: Speed) -> str:
    newest = speed.samples[-1] if speed.samples else 0
    told = f"{speed.label}: {per_second(newest)}"
    highest = max(speed.samples, default=0)
    start = SAMPLES - len(speed.samples)
    points = " ".join(
        f"{(start + i) * _WIDTH / (SAMPLES - 1):.1f},{_HEIGHT - 1 - sample * (_HEIGHT - 4) / max(highest, 1):.1f}"
        for i, sample in enumerate(speed.samples)
    )
    drawn = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label={attribute(told)}>'
        f"<title>{text(told)}, at most {text(per_second(highest))} lately</title>"
        f'<polyline points="{points}"/></svg>'
    )
    return element("span", f"{text(speed.label)} {drawn} {text(per_second(newest))}")


def per_second(count: int) -> str:
    """A speed in words, with two or three digits."""
    return f"{size(count)}/s"


def _in_words(speed: Speed) -> str:
    return f"{speed.label}: {per_second(speed.samples[-1] if speed.samples else 0)}"


def _text(drawn: Drawn) -> str:
    match drawn:
        case PairView():
            return lens_text(drawn)
        case EndView():
            return connection(drawn.conn)
        case ListenerView():
            return listener(drawn)
        case ServingView():
            return server_line(drawn.server)
        case GoneView():
            return f"<{drawn.what} is no more>"
