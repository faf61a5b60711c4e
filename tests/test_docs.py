"""The promise: what the pages in docs/ show can be typed, and does what it says there; and the reference describes all that is public."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
import socklens as sl
import written

DOCS = written.ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if written.blocks(path))
MODULES = {module.name for module in pkgutil.iter_modules(sl.__path__) if not module.name.startswith("_")}


def name(path: Path) -> str:
    return path.relative_to(DOCS).as_posix()


def promised() -> set[str]:
    """Every public name: those of the package, and those that a public module of it lists."""
    names = {*sl.__all__, *sl._LATER} - {"__version__"}
    for module in MODULES:
        room = importlib.import_module(f"socklens.{module}")
        listed = getattr(room, "__all__", ())
        names |= {f"{module}.{each}" for each in listed if getattr(sl, each, None) is not getattr(room, each)}
    return names - MODULES


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_block_runs(path: Path) -> None:
    written.run(path)


def test_there_are_pages_with_code() -> None:
    assert len(PAGES) >= 5


def test_the_reference_describes_all_that_is_public_once() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "reference").glob("*.md")))
    described = re.findall(r"^\.\. auto(?!module)\w+:: socklens\.([\w.]+)$", text, re.MULTILINE)
    assert sorted(described) == sorted(promised())
