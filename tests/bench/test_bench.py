"""The measuring program runs and gives every figure. Never how fast: that is for `make bench` on a calm machine."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import alone
import bench
import soak

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[bench.Bench, list[bench.Line]]:
    made = bench.Bench(bench.TINY, tmp_path_factory.mktemp("bench"))
    return made, bench.measure(made, tell=lambda _: None)


def test_every_measure_gives_its_lines_with_positive_figures(run: tuple[bench.Bench, list[bench.Line]]) -> None:
    _, lines = run
    assert len(lines) == 87
    assert len({line.name for line in lines}) == len(lines)
    for line in lines:
        assert line.value > 0 or line.unit == "puts", line
        assert line.cpu is None or line.cpu > 0, line


def test_the_reference_stands_beside_what_it_can_do(run: tuple[bench.Bench, list[bench.Line]]) -> None:
    made, lines = run
    if made.reference is None:
        pytest.skip(made.why_no_reference)
    beside = [line for line in lines if line.other_name == "reference"]
    assert len(beside) == 13
    assert all(line.other and line.other_cpu and line.ratio for line in beside)


def test_nothing_acknowledged_is_lost_between_processes(run: tuple[bench.Bench, list[bench.Line]]) -> None:
    (lost,) = [line.value for line in run[1] if line.unit == "puts"]
    assert lost == 0


def test_the_table_and_the_file_hold_every_line(run: tuple[bench.Bench, list[bench.Line]]) -> None:
    made, lines = run
    shown: list[str] = []
    bench.show(lines, shown.append)
    assert len(shown) == 1 + len(lines)
    machine = bench.facts(made.folder)
    written = json.loads(json.dumps(bench.report(lines, machine, made.libraries)))
    assert [line["name"] for line in written["lines"]] == [line.name for line in lines]
    assert written["machine"]["libraries"]["evlog-mlmd"]


def test_a_line_without_anything_to_compare_with_reaches_nothing() -> None:
    alone = bench.Line("put", 1.0, "us", other_name="reference", target=5.0)
    assert alone.reached is None
    assert bench.Line("open", 10.0, "ms", target=10.0, at_most=True).reached is True
    assert bench.Line("replay", 10.0, "records/s", target=11.0).reached is False


def test_a_soak_that_is_over_before_its_clients_are_up_is_sound(tmp_path: Path) -> None:
    told: list[str] = []
    assert soak.soak(tmp_path / "store", clients=8, seconds=0.1, first_puts=1_000, tell=told.append) == []
    assert "calls" in told[0]


def test_processor_time_shorter_than_a_tick_is_seen() -> None:
    for _ in range(20):
        before, wall = alone.cpu_s(), time.perf_counter()
        while time.perf_counter() - wall < 0.002:
            pass
        assert alone.cpu_s() > before
