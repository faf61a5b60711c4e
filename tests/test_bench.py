"""The benchmark runs, checks its bytes, and gives a ratio for every case. How fast anything is, is not tested."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent / "benches"


def _bench(*options: str) -> str:
    command = [sys.executable, str(BENCHES), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_quick_run_gives_a_ratio_for_every_case(tmp_path: Path) -> None:
    report = tmp_path / "bench.md"
    _bench("--quick", "--output", str(report))
    ratios: dict[str, int] = {}
    case = ""
    for line in report.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 8 and re.match("[0-9]+[.][0-9]{2}\N{MULTIPLICATION SIGN} ", cells[5]):
            case = cells[0] or case
            ratios[case] = ratios.get(case, 0) + 1
    assert list(ratios) == _bench("--list").splitlines()


def test_an_unknown_case_is_named() -> None:
    command = [sys.executable, str(BENCHES), "--only", "no such case"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "'no such case'" in done.stderr
