"""How long a lineage takes to lay out and to draw, and, of a store, to be asked for and drawn.

    python tests/bench/drawing.py [--quick]

Milliseconds of processor time, the best of several rounds. The shapes are those of training pipelines: `fleet`, chains of ten warm starts
each; `deep`, one chain from the first to the last. Beside it, where it is installed, `dot` of Graphviz on the same graph.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "kit"))

from drawings import Shape, graph_of, over_nodes, pipelines, put

from mlmd.display.layout import NODE_HEIGHT, NODE_WIDTH, layout
from mlmd.display.svg import picture
from mlmd.display.walk import lineage
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.store import MetadataStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES: Final = (60, 150, 300, 2_000, 10_000)
QUICK: Final = (60, 300)
DRAWN_MAX: Final = 300
ROUNDS: Final = 5
CHECKED_MAX: Final = 2_000
DOT_MAX: Final = 300
SHAPES: Final = {"fleet": 10, "deep": 1_000_000}


class Line(NamedTuple):
    """What was measured of one shape. Milliseconds; None where it was not."""

    shape: str
    nodes: int
    edges: int
    layout_ms: float
    svg_ms: float | None
    store_ms: float | None
    dot_ms: float | None
    over_nodes: int | None


def best_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the least processor time of a few rounds."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times) * 1000


def measure(sizes: tuple[int, ...], rounds: int = ROUNDS) -> Iterator[Line]:
    """Measure each shape in each size."""
    for name, warm_starts in SHAPES.items():
        for size in sizes:
            shape = pipelines(size, warm_starts=warm_starts)
            graph = graph_of(shape)
            drawn = layout(*shape)
            small = size <= DRAWN_MAX
            yield Line(
                name,
                len(shape.nodes),
                len(shape.edges),
                best_ms(lambda shape=shape: layout(*shape), rounds),  # type: ignore[misc]
                best_ms(lambda graph=graph: picture(graph), rounds) if small else None,  # type: ignore[misc]
                _store_ms(shape, rounds) if small else None,
                _dot_ms(graph.dot()) if size <= DOT_MAX and shutil.which("dot") else None,
                len(over_nodes(drawn, NODE_WIDTH, NODE_HEIGHT)) if size <= CHECKED_MAX else None,
            )


def _store_ms(shape: Shape, rounds: int) -> float:
    """Return what it takes to ask a store on disk for the whole lineage and to draw it."""
    with tempfile.TemporaryDirectory() as folder:
        store = MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=folder)))
        ids = put(store, shape)
        runs = [f"run:{number}" for key, number in ids.items() if key.startswith("run:")]
        found = best_ms(lambda: lineage(store, runs).svg(), rounds)
        store.close()
    return found


def _dot_ms(text: str) -> float:
    began = time.perf_counter()
    subprocess.run(["dot", "-Tsvg"], input=text.encode(), check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure and print."""
    print(
        f"{'shape':<6} {'nodes':>6} {'edges':>6} {'layout':>10} {'svg':>10} {'store+svg':>10} {'dot':>10} {'over nodes':>11}"
    )
    for line in measure(QUICK if "--quick" in sys.argv else SIZES):
        times = [f"{'-' if one is None else f'{one:,.1f} ms':>10}" for one in line[3:7]]
        over = "-" if line.over_nodes is None else line.over_nodes
        print(f"{line.shape:<6} {line.nodes:>6} {line.edges:>6} {' '.join(times)} {over:>11}")


if __name__ == "__main__":
    main()
