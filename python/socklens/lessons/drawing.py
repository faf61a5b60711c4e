"""The box in which a notebook shows what a lesson says. Pure functions of text; every value is escaped before it is set in HTML."""

from __future__ import annotations

import html
import re
from functools import cache
from importlib import resources


def box(kind: str, body: str) -> str:
    """HTML of a box; ``kind`` names its look in exercise.css, ``body`` is HTML already."""
    return f'<style>{_css()}</style><div class="socklens-lesson socklens-lesson-{kind}">{body}</div>'


def prose(text: str) -> str:
    """Escape a sentence, then set what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("exercise.css").read_text(encoding="utf-8")
