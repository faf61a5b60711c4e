"""The characters that pictures are drawn with: one set for Unicode screens, one for ASCII. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of characters to draw with."""

    top_left: str
    top_right: str
    bottom_left: str
    bottom_right: str
    horizontal: str
    vertical: str
    full: str
    half: str
    trace: str
    """Drawn for a fill too small for one whole cell: something is there, and it is little."""
    empty: str
    waiting: str
    to_left: str
    to_right: str
    both: str
    dot: str
    ellipsis: str
    ascii_only: bool


UNICODE = Glyphs(
    top_left="╭",
    top_right="╮",
    bottom_left="╰",
    bottom_right="╯",
    horizontal="─",
    vertical="│",
    full="█",
    half="▒",
    trace="▏",
    empty="░",
    waiting="●",
    to_left="◄───",
    to_right="───►",
    both="◄─►",
    dot="·",
    ellipsis="…",
    ascii_only=False,
)

ASCII = Glyphs(
    top_left="+",
    top_right="+",
    bottom_left="+",
    bottom_right="+",
    horizontal="-",
    vertical="|",
    full="#",
    half="=",
    trace=":",
    empty=".",
    waiting="o",
    to_left="<---",
    to_right="--->",
    both="<->",
    dot="-",
    ellipsis="...",
    ascii_only=True,
)
