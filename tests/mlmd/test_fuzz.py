"""The parsers, given rubbish and valid input that was mutated: they refuse it in their own words, and believe nothing that was forged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import parsers
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tally import Tally

NAMES = sorted(parsers.PARSERS)
FUZZER = Path(__file__).parents[1] / "kit" / "fuzzer.py"
FUZZ_S = 30 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 1  # Of each parser.


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Return one of some valid inputs after a few edits: flipped, cut out, put in, doubled, spliced with another."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        stop = min(len(data), at + draw(st.sampled_from([1, 2, 4, 8, 33, 400])))
        match draw(st.integers(0, 4)):
            case 0 if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del data[at:stop]
            case 2:
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case 3:
                data[at:at] = data[at:stop]
            case _:
                other = draw(st.sampled_from(seeds))
                data[at:] = other[min(at, len(other)) :]
    return bytes(data)


def examine(name: str, data: bytes) -> None:
    """Read an input; fail for an untyped error, or for something authentic that nobody made."""
    parser = parsers.PARSERS[name]
    found = parser.read(data)
    if (parser.authentic or parser.summed) and found is not None:
        assert found in [parser.read(seed) for seed in parser.seeds()], "it was forged, and is believed"


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evlog.log.SEGMENT_RECORDS_MAX", 8)
        patch.setattr("evlog.segment.INDEX_STEP", 4)
        for parser in parsers.PARSERS.values():
            parser.seeds()
        yield


@pytest.mark.parametrize("name", NAMES)
def test_what_is_valid_is_read(name: str) -> None:
    parser = parsers.PARSERS[name]
    for seed in parser.seeds():
        if name not in ("record", "tiles"):
            assert parser.read(seed) is not None, seed[:200]


@pytest.mark.faults
@pytest.mark.parametrize("name", NAMES)
def test_no_input_makes_a_parser_stumble_or_believe(name: str, tally: Tally) -> None:
    count = 0

    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(mutated(parsers.PARSERS[name].seeds()) | st.binary(max_size=300))
    @example(b"")
    @example(b"[" * 5_000)
    @example(b"{" * 5_000)
    @example(b"a = " + b"[" * 5_000)
    @example(b"\xff\xfe" * 300)
    @example(b"9" * 5_000)
    @example(b"\x91" * 5_000)
    @example(b"\x81\xa1\x80\xa1\x80")
    @example(b"a = " + b"9" * 5_000)
    def try_it(data: bytes) -> None:
        nonlocal count
        count += 1
        examine(name, data)

    try_it()
    tally("fuzz", count)


@pytest.mark.deep
@pytest.mark.once
@pytest.mark.parametrize("name", NAMES)
def test_a_fuzzer_that_sees_what_code_runs_finds_nothing_either(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed: it has no wheel for this interpreter")
    (tmp_path / "corpus").mkdir()
    done = subprocess.run(
        [sys.executable, str(FUZZER), name, "corpus", f"-max_total_time={FUZZ_S}", "-timeout=20", "-rss_limit_mb=2048"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    for crash in [*tmp_path.glob("crash-*"), *tmp_path.glob("timeout-*"), *tmp_path.glob("oom-*")]:
        shutil.copy(crash, Path.cwd())  # To be played again.
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "Done" in done.stderr
