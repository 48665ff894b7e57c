"""Pictures hold what a reader relies on: direction, nodes apart, no edge over a node, the same lineage the same picture."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from drawings import Shape, over_nodes, pipelines, shapes
from hypothesis import given
from hypothesis import strategies as st

from mlmd.display import layers, ordering
from mlmd.display.layers import Component, components
from mlmd.display.layout import NODE_HEIGHT, NODE_WIDTH, _lanes, layout
from mlmd.display.ordering import crossings, ordered

FLEET = pipelines(300, warm_starts=10)
DEEP = pipelines(150, warm_starts=1000)


def numbered(shape: Shape) -> tuple[int, list[tuple[int, int]]]:
    number = {key: at for at, key in enumerate(shape.nodes)}
    return len(shape.nodes), sorted({(number[source], number[target]) for source, target in shape.edges})


@given(shapes())
def test_every_node_and_edge_has_its_place_inside_the_picture(shape: Shape) -> None:
    drawn = layout(*shape)
    assert drawn.places.keys() == set(shape.nodes)
    assert drawn.routes.keys() == set(shape.edges)
    for x, y in drawn.places.values():
        assert NODE_WIDTH / 2 <= x <= drawn.width - NODE_WIDTH / 2
        assert NODE_HEIGHT / 2 <= y <= drawn.height - NODE_HEIGHT / 2
    for points in drawn.routes.values():
        assert all(0 <= x <= drawn.width and 0 <= y <= drawn.height for x, y in points)


@given(shapes())
def test_nodes_do_not_overlap(shape: Shape) -> None:
    for (x, y), (other_x, other_y) in combinations(layout(*shape).places.values(), 2):
        assert abs(x - other_x) >= NODE_WIDTH or abs(y - other_y) >= NODE_HEIGHT


@given(shapes())
def test_no_edge_comes_over_a_node(shape: Shape) -> None:
    assert not over_nodes(layout(*shape), NODE_WIDTH, NODE_HEIGHT)


@pytest.mark.parametrize("shape", [FLEET, DEEP], ids=["fleet", "deep"])
def test_no_edge_of_a_large_picture_comes_over_a_node(shape: Shape) -> None:
    assert not over_nodes(layout(*shape), NODE_WIDTH, NODE_HEIGHT)


@given(shapes(acyclic=True))
def test_data_flows_from_left_to_right_where_there_is_no_cycle(shape: Shape) -> None:
    drawn = layout(*shape)
    for source, target in shape.edges:
        assert drawn.places[source][0] + NODE_WIDTH < drawn.places[target][0]
        points = drawn.routes[source, target]
        assert points[0][0] == drawn.places[source][0] + NODE_WIDTH / 2
        assert points[-1][0] == drawn.places[target][0] - NODE_WIDTH / 2
        assert [x for x, _ in points] == sorted(x for x, _ in points)


@given(shapes())
def test_an_edge_begins_at_its_source_and_ends_at_its_target(shape: Shape) -> None:
    drawn = layout(*shape)
    for (source, target), points in drawn.routes.items():
        for key, (x, y) in ((source, points[0]), (target, points[-1])):
            at_x, at_y = drawn.places[key]
            assert y == at_y
            assert abs(x - at_x) == NODE_WIDTH / 2


@given(shapes(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_edges_does_not_matter(shape: Shape, dice: object) -> None:
    nodes, edges = list(shape.nodes), list(shape.edges)
    dice.shuffle(nodes)  # type: ignore[attr-defined]
    dice.shuffle(edges)  # type: ignore[attr-defined]
    assert layout(nodes, edges + edges[:3]) == layout(*shape)


@given(shapes())
def test_crossings_are_those_of_all_pairs_of_steps(shape: Shape) -> None:
    for part in components(*numbered(shape)):
        rows = ordered(part)
        place = {node: at for row in rows for at, node in enumerate(row)}
        naive = sum(
            part.layer[one] == part.layer[two] and (place[one] - place[two]) * (place[end] - place[stop]) < 0
            for (one, end), (two, stop) in combinations(part.steps, 2)
        )
        assert crossings(rows, part.steps) == naive


@given(shapes())
def test_every_step_leads_to_the_next_layer(shape: Shape) -> None:
    for part in components(*numbered(shape)):
        assert all(part.layer[end] == part.layer[start] + 1 for start, end in part.steps)
        assert sorted(node for row in ordered(part) for node in row) == list(range(len(part.layer)))


def test_sweeps_take_away_crossings() -> None:
    dice = random.Random(1)
    edges = [(f"art:{dice.randrange(60)}", f"run:{at // 2}") for at in range(120)]
    tangled = Shape(sorted({key for edge in edges for key in edge}), edges)
    for shape, part_left in ((tangled, 0.75), (FLEET, 0.9)):
        before, after = (_crossings(shape, sweeps) for sweeps in (0, ordering._SWEEPS))
        assert after < part_left * before


def _crossings(shape: Shape, sweeps: int) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "_SWEEPS", sweeps)
        return sum(crossings(ordered(part), part.steps) for part in components(*numbered(shape)))


@given(shapes())
def test_sweeps_never_leave_more_crossings_than_there_were(shape: Shape) -> None:
    assert _crossings(shape, 8) <= _crossings(shape, 0)


def test_a_run_that_writes_what_it_reads_is_drawn_both_ways() -> None:
    drawn = layout(["art:1", "run:1"], [("art:1", "run:1"), ("run:1", "art:1")])
    assert drawn.routes["art:1", "run:1"] == drawn.routes["run:1", "art:1"][::-1]


def test_what_leads_nowhere_or_to_itself_is_left_out() -> None:
    assert layout(["art:1"], [("art:1", "run:9"), ("art:1", "art:1")]).routes == {}


def test_nothing_is_a_picture_too() -> None:
    drawn = layout([], [])
    assert drawn.places == {}
    assert drawn.width > 0


def test_edges_that_would_take_too_many_bends_go_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_BENDS_FREE", 0)
    monkeypatch.setattr(layers, "_BENDS_MAX", 0)
    drawn = layout(*DEEP)
    lowest = max(y for _, y in drawn.places.values()) + NODE_HEIGHT / 2
    around = [points for points in drawn.routes.values() if max(y for _, y in points) > lowest]
    assert around
    assert all(len(points) <= 4 for points in drawn.routes.values())
    assert not over_nodes(drawn, NODE_WIDTH, NODE_HEIGHT)


def test_lanes_that_do_not_meet_share_a_height_and_those_that_do_have_their_own() -> None:
    part = Component([*range(8)], [], layer=[0, 1, 2, 3, 4, 5, 6, 7], around={0: 2, 1: 3, 4: 6})
    lanes = _lanes(part, 100)
    assert lanes[0] == lanes[4] > 100
    assert lanes[1] > lanes[0]


@given(shapes(acyclic=True))
def test_nothing_goes_over_a_node_where_every_long_edge_goes_around(shape: Shape) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "_BENDS_FREE", 0)
        patch.setattr(layers, "_BENDS_MAX", 0)
        drawn = layout(*shape)
    assert not over_nodes(drawn, NODE_WIDTH, NODE_HEIGHT)


def test_a_hub_of_ten_thousand_long_edges_stays_in_proportion() -> None:
    chain = [f"art:{at}" if at % 2 else f"run:{at}" for at in range(2_000)]
    edges = list(pairwise(chain)) + [("art:0", run) for run in chain[::2]]
    drawn = layout([*chain, "art:0"], edges)
    assert sum(map(len, drawn.routes.values())) < 10 * len(edges)
