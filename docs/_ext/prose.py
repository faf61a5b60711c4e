"""Docstrings as Sphinx wants them. They are written for Shift-Tab: plain text, names in backticks, and the sections Args, Raises,
Attributes and Returns. Here names become links, and sections become fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import socklens

SECTIONS = {
    "Args": "Arguments",
    "Raises": "Raises",
    "Attributes": "Attributes",
    "Returns": "Returns",
    "Yields": "Yields",
}
# What docstrings call an object of a class.
PEOPLE = {"conn": "Connection", "listener": "Listener", "server": "Server", "story": "Story", "sl": "", "socklens": ""}
CODE = re.compile(
    r'``(?P<code>.+?)``|(?::\w+:)?`(?P<name>[^`]+)`|(?P<bytes>\bb"[^"\n]*")|(?P<bold>\*\*[^*\n]+\*\*|(?<!\*)\*\w+\*(?!\*))',
    re.DOTALL,
)
# Where the next exception of a section begins: after a sentence, and with a colon behind its name or names.
_NAME = r"(?:\w+\.)?[A-Z]\w*(?:Error|Interrupt)(?: \([A-Z, ]+\))?"
RAISED = re.compile(rf"(?<=[.;]) (?=(?:socket\.gaierror|{_NAME}(?:, {_NAME})*(?: and its kin| …)?): )")
ITEM = re.compile(r"(?P<name>[\w*]+(?:, [\w*]+)*): ")


def convert(_app: Any, _kind: str, name: str, thing: object, _options: object, lines: list[str]) -> None:
    """Rewrites a docstring in place; that of the states goes on with what each of them means."""
    owner = name.split(".")[1] if name.startswith("socklens.") else ""
    lines[:] = rewritten(lines, owner)
    if thing is socklens.TcpState:
        states = sorted((state for state in vars(thing).values() if isinstance(state, thing)), key=int)
        lines += [f"- **{state.name}** ({int(state)}): {escaped(state.meaning)}" for state in states]


def rewritten(lines: list[str], owner: str) -> Iterator[str]:
    """Block by block: a section, indented code, or a paragraph."""
    for block in blocks(lines):
        head = block[0].rstrip(":")
        if head in SECTIONS and block[0].endswith(":"):
            yield from section(head, block[1:], owner)
        elif block[0].startswith("    "):
            yield from ("::" if not block[0].lstrip().startswith(">>>") else "", "", *block)
        elif block[0].startswith(">>>"):
            yield from block
        elif block[0].startswith("- "):
            yield from inline("\n".join(block), owner).splitlines()
        else:
            yield from inline("\n".join(block), owner).splitlines()
        yield ""


def blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines between empty ones. A line that opens a section begins a block of its own; code keeps its empty lines."""
    block: list[str] = []
    pending = 0
    for line in lines:
        if not line.strip():
            pending += bool(block)
            continue
        opens = line.rstrip().removesuffix(":") in SECTIONS and line.rstrip().endswith(":")
        goes_on = bool(block) and line.startswith("    ") and block[0].startswith("    ")
        to_code = (
            bool(block)
            and line.startswith("    ")
            and not block[0].startswith("    ")
            and block[0][:-1] not in SECTIONS
        )
        if block and (opens or (pending and not goes_on) or (to_code and pending)):
            yield block
            block = []
        elif goes_on:
            block += [""] * pending
        pending = 0
        block.append(line.rstrip())
    if block:
        yield block


def section(head: str, body: list[str], owner: str) -> Iterator[str]:
    """A field with what stands below its heading: a list where each line names something, else as it is."""
    text = [line.removeprefix("    ") for line in body]
    if head in {"Args", "Attributes"}:
        yield f":{SECTIONS[head]}:"
        for item in items(text):
            named = ITEM.match(item)
            if named is None:
                yield f"    - {inline(item, owner)}"
            else:
                names = ", ".join(f"**{part.replace('*', chr(92) + '*')}**" for part in named["name"].split(", "))
                yield f"    - {names}: {inline(item[named.end() :], owner)}"
    elif head == "Raises":
        yield ":Raises:"
        for item in RAISED.split(" ".join(line.strip() for line in text)):
            yield f"    - {inline(item, owner)}"
    else:
        yield f":{SECTIONS[head]}: {inline(' '.join(line.strip() for line in text), owner)}"


def items(text: Iterable[str]) -> Iterator[str]:
    """What begins at the margin, with what is indented below it, on one line."""
    item: list[str] = []
    for line in text:
        if item and not line.startswith(" "):
            yield " ".join(item)
            item = []
        item.append(line.strip())
    if item:
        yield " ".join(item)


def inline(text: str, owner: str) -> str:
    """Text with its names as links where they are public, and nothing else in it that Sphinx could take for markup."""
    done = []
    at = 0
    for found in CODE.finditer(text):
        done.append(escaped(text[at : found.start()]))
        code = found["code"] or found["bytes"]
        done.append(found["bold"] or linked(code or found["name"], owner, code=code is not None))
        if text[found.end() : found.end() + 1].isalnum():
            done.append("\\ ")
        at = found.end()
    return "".join(done) + escaped(text[at:])


def escaped(text: str) -> str:
    """Plain text stays plain text."""
    return re.sub(r"[\\*|`]|(?<=\w)_(?!\w)", r"\\\g<0>", text)


def linked(text: str, owner: str, *, code: bool) -> str:
    """A name of socklens as a link, anything else as code."""
    shown = " ".join(text.split())
    target = None if code else public(re.sub(r"\(.*\)$", "", shown), owner)
    return f":py:obj:`{shown} <{target}>`" if target else f"``{shown}``"


def public(name: str, owner: str) -> str | None:
    """The whole name of what a docstring means by a short one: a member of its own class first, then of the package."""
    first, _, rest = name.partition(".")
    tries = [f"{PEOPLE[first]}.{rest}".strip(".")] if rest and first in PEOPLE else []
    for attempt in (*tries, f"{owner}.{name}", name):
        thing: object = socklens
        parts = attempt.split(".")
        if any(part.startswith("_") or not part.isidentifier() for part in parts):
            continue
        for part in parts:
            thing = getattr(thing, part, None)
        if thing is not None and (parts[0] in socklens.__all__ or parts[0] in socklens._LATER):
            return f"socklens.{attempt}"
    return None


def setup(app: Any) -> dict[str, bool]:
    """Tells Sphinx."""
    app.connect("autodoc-process-docstring", convert)
    return {"parallel_read_safe": True}
