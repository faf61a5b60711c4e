"""The promise: what the pages in docs/ show can be typed, and does what it says there; and the reference describes all that is public."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
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


def test_types_for_the_pages_can_be_read_when_all_of_the_package_is_loaded() -> None:
    """A module may have imported classes of Python's own, such as FunctionType."""
    code = (
        f"import sys; sys.path.insert(0, {str(DOCS / '_ext')!r})\n"
        "import socklens, signatures\n"
        "for name in socklens._LATER: getattr(socklens, name)\n"
        "import socklens._explain\n"
        "signatures.type_the_settings()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
