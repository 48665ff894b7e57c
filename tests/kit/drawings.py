"""Lineages to draw: those of training pipelines in two shapes, and random ones, cycles included."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from mlmd.display.graph import Edge, Graph, Node
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmd.display.layout import Layout
    from mlmd.store import MetadataStore

Link = tuple[str, str]


class Shape(NamedTuple):
    """Keys of nodes, and edges between them."""

    nodes: list[str]
    edges: list[Link]


def pipelines(count: int, *, warm_starts: int) -> Shape:
    """Return at least `count` nodes: trainings, each with new data, a schema they share, and the model before as a warm start.

    warm_starts: after so many the next chain begins, a component of its own. 1.3 edges a node.
    """
    shape = Shape([], [])
    numbers = {"art": 0, "run": 0}

    def new(kind: str) -> str:
        numbers[kind] += 1
        shape.nodes.append(f"{kind}:{numbers[kind]}")
        return shape.nodes[-1]

    def run(*inputs: str) -> str:
        made, output = new("run"), new("art")
        shape.edges.extend((one, made) for one in inputs)
        shape.edges.append((made, output))
        return output

    while len(shape.nodes) < count:
        schema, model = new("art"), ()
        for _ in range(warm_starts):
            data = run()
            model = (run(data, schema, *model),)
            blessing = run(*model, data)
            run(*model, blessing)
            if len(shape.nodes) >= count:
                break
    return shape


def put(store: MetadataStore, shape: Shape, name: str = "") -> dict[str, int]:
    """Put a lineage of that shape into a store; return the ids by key. name: what the names of artifacts begin with."""
    artifact_type = store.put_artifact_type(pb.ArtifactType(name="Data"))
    run_type = store.put_execution_type(pb.ExecutionType(name="Run"))
    artifacts = [key for key in shape.nodes if key.startswith("art:")]
    runs = [key for key in shape.nodes if key.startswith("run:")]
    made = store.put_artifacts([pb.Artifact(type_id=artifact_type, name=f"{name}{key}") for key in artifacts])
    ids = dict(zip(artifacts, made, strict=True))
    ids |= dict(zip(runs, store.put_executions([pb.Execution(type_id=run_type) for _ in runs]), strict=True))
    store.put_events([_event(ids, *edge) for edge in shape.edges])
    return ids


def _event(ids: Mapping[str, int], source: str, target: str) -> pb.Event:
    if source.startswith("art:"):
        return pb.Event(artifact_id=ids[source], execution_id=ids[target], type=pb.Event.INPUT)
    return pb.Event(artifact_id=ids[target], execution_id=ids[source], type=pb.Event.OUTPUT)


@st.composite
def shapes(draw: st.DrawFn, *, acyclic: bool = False) -> Shape:
    """Random artifacts and runs with events between them, in any direction: a run may read what it makes."""
    artifacts = [f"art:{number}" for number in range(1, draw(st.integers(1, 12)) + 1)]
    runs = [f"run:{number}" for number in range(1, draw(st.integers(0, 10)) + 1)]
    pairs = st.tuples(st.sampled_from(artifacts), st.sampled_from(runs or artifacts), st.booleans())
    chosen = draw(st.lists(pairs, max_size=40)) if runs else []
    edges = [(run, artifact) if made else (artifact, run) for artifact, run, made in chosen]
    if acyclic:
        rank = {key: at for at, key in enumerate(draw(st.permutations(artifacts + runs)))}
        edges = [(min(edge, key=rank.__getitem__), max(edge, key=rank.__getitem__)) for edge in edges]
    return Shape(artifacts + runs, edges)


def graph_of(shape: Shape) -> Graph:
    """Return a lineage of that shape."""
    nodes = [
        Node(
            key,
            "artifact" if key.startswith("art:") else "execution",
            f"node {key}",
            "T",
            "",
            time_ms=1_700_000_000_000,
        )
        for key in shape.nodes
    ]
    return Graph(nodes, [Edge(source, target) for source, target in shape.edges], roots=shape.nodes[:1])


def over_nodes(drawn: Layout, width: float, height: float) -> list[tuple[Link, str]]:
    """Return the edges that come over a node which is not their end, each with that node.

    A level piece covers its height; a curve, level at both ends, stays in the box between its points.
    """
    found = []
    for link, points in drawn.routes.items():
        for (x, y), (then_x, then_y) in itertools.pairwise(points):
            left, right, top, bottom = min(x, then_x), max(x, then_x), min(y, then_y), max(y, then_y)
            found += [
                (link, key)
                for key, (at_x, at_y) in drawn.places.items()
                if key not in link
                and at_x - width / 2 < right
                and left < at_x + width / 2
                and at_y - height / 2 < bottom
                and top < at_y + height / 2
            ]
    return found
