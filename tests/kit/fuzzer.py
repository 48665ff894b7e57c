"""Fuzz one parser with atheris, which sees what code an input runs: `fuzzer.py NAME CORPUS [libFuzzer's options]`.

It begins with valid inputs, which it puts into the folder CORPUS: keys and ids in them are those of this process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "kit")]

with atheris.instrument_imports(include=["evlog", "mlmd"]):
    import parsers

    import evlog.log
    import evlog.segment


def main(name: str, corpus: str) -> None:
    """Fuzz until the time is over. An error that is none of the parser's own, or a forgery that passes, ends it."""
    evlog.log.SEGMENT_RECORDS_MAX, evlog.segment.INDEX_STEP = 8, 4
    parser = parsers.PARSERS[name]
    made = [parser.read(seed) for seed in parser.seeds()]
    for number, seed in enumerate(parser.seeds()):
        (Path(corpus) / str(number)).write_bytes(seed)

    def try_it(data: bytes) -> None:
        found = parser.read(data)
        assert not parser.authentic or found is None or found in made, "it was forged, and is believed"

    atheris.Setup([sys.argv[0], *sys.argv[3:], corpus], try_it)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
