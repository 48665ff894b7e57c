"""The table of faults: counts add up, and a run in which anything failed publishes nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tally import ROWS, Ledger, Tally

if TYPE_CHECKING:
    from pathlib import Path


def ended(ledger: Ledger) -> str:
    """End a run; return what it prints."""
    printed: list[str] = []
    ledger.pytest_terminal_summary(SimpleNamespace(write_line=printed.append))  # type: ignore[arg-type]
    return "\n".join(printed)


def report(*counts: tuple[str, int], failed: bool = False, when: str = "teardown") -> Any:
    properties: list[tuple[str, object]] = []
    for row, tried in counts:
        Tally(properties)(row, tried)
    return SimpleNamespace(user_properties=properties, failed=failed, when=when, nodeid="tests/x.py::test_y")


def test_what_tests_tried_adds_up_and_is_published(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "faults.md", "full")
    ledger.pytest_runtest_logreport(report(("kill", 3), ("cut", 9), when="call"))  # Of each phase there is a report.
    ledger.pytest_runtest_logreport(report(("kill", 3), ("cut", 9)))
    ledger.pytest_runtest_logreport(report(("kill", 1_000), ("insider bare", 7)))
    text = ended(ledger)
    assert (tmp_path / "faults.md").read_text(encoding="utf-8") == text
    assert "**1,012 tried, 0 acknowledged records lost, 0 undetected alterations**" in text
    assert f"| {ROWS['kill'].fault} | {ROWS['kill'].harness} | 1,003 | 0 | 0 |" in text
    assert f"| {ROWS['insider bare'].fault} | {ROWS['insider bare'].harness} | 7 | – | – |" in text
    assert f"{ROWS['clock'].harness} | 0 | 0 | – | not run |" in text


def test_a_run_in_which_anything_failed_publishes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "faults.md", "full")
    ledger.pytest_runtest_logreport(report(("kill", 3), failed=True, when="call"))
    ledger.pytest_runtest_logreport(report(("kill", 3)))
    text = ended(ledger)
    assert "NOT SOUND: 1 failed, the first: tests/x.py::test_y" in text
    assert "1 acknowledged records lost, 1 undetected alterations" in text
    assert not (tmp_path / "faults.md").exists()


def test_a_fault_said_again_and_again_is_one_property() -> None:
    properties: list[tuple[str, object]] = []
    tally = Tally(properties)
    for number in range(5):
        tally("cut", number, "odd" if number == 3 else "")
    assert properties == [("fault", ["cut", 10, "odd"])]
