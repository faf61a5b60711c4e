"""The promise: the house keeps its own rules, as ARCHITECTURE.md states them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUST = sorted((ROOT / "src").rglob("*.rs"))
PYTHON = sorted((ROOT / "python").rglob("*.py"))
DOCS = sorted((ROOT / "docs").rglob("*.py"))
BENCHES = sorted(path for kind in ("*.rs", "*.py") for path in (ROOT / "benches").rglob(kind))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", RUST + PYTHON + DOCS + BENCHES, ids=name)
def test_every_file_opens_with_the_rule_of_its_room_and_is_not_too_large(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("//! " if path.suffix == ".rs" else '"""'), "no rule at the top"
    assert len(text.splitlines()) <= 420, "too large for one job"


def test_the_core_does_not_know_python() -> None:
    assert [
        name(path) for path in RUST if "core" in path.parts and re.search(r"pyo3|[^_]Python<", path.read_text())
    ] == []


def test_one_file_lets_go_of_the_interpreter() -> None:
    assert [name(path) for path in RUST if ".detach(" in path.read_text() and "py.detach" in path.read_text()] == [
        "src/bind/patience.rs"
    ]


def test_unsafe_only_in_the_named_files() -> None:
    allowed = [name(path) for path in RUST if "allow(unsafe_code)" in path.read_text()]
    assert allowed == [
        "src/bind/bytes.rs",
        "src/bind/handover.rs",
        "src/bind/site.rs",
        "src/core/connection/assembly.rs",
        "src/core/server/watch.rs",
        "src/core/sys/apple.rs",
        "src/core/sys/recv.rs",
        "src/core/sys/selector.rs",
        "src/core/sys/unix.rs",
        "src/core/sys/windows.rs",
    ]


def test_architecture_names_only_what_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|python|tests|notebooks|docs|benches)/[\w/.]+)`", text)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
    files = re.findall(r"`(_\w+\.py)`", text)
    assert [name for name in files if not list((ROOT / "python").rglob(name))] == []
    assert len(text.splitlines()) <= 100, "it is one page"
