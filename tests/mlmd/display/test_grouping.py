"""Lineages through time made smaller."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from mlmd.display.graph import Edge, Node
from mlmd.display.grouping import PREFIX, by_context, by_day, by_type, folded, grouped, nearest, only
from mlmd.display.growth import Growth, Life, Version

DAY_MS = 86_400_000


def life(key: str, born: int, *states: str, of: str = "Data", day: int = 1, flags: tuple[str, ...] = ()) -> Life:
    kind = "artifact" if key.startswith("art:") else "execution"
    versions = tuple(Version(born + at, state, flags) for at, state in enumerate(states or ("LIVE",)))
    return Life(Node(key, kind, key, of, versions[-1].state, frozenset(flags), day * DAY_MS), versions)  # type: ignore[arg-type]


def growth(lives: list[Life], edges: dict[tuple[str, str], int], *roots: str) -> Growth:
    return Growth(100, roots, {one.node.key: one for one in lives}, {Edge(*ends): born for ends, born in edges.items()})


def star(count: int) -> Growth:
    """A dataset that so many runs read, put one after the other."""
    runs = [life(f"run:{number}", 10 + number, "COMPLETE", of="Trainer") for number in range(1, count + 1)]
    return growth([life("art:1", 1), *runs], {("art:1", run.node.key): run.born for run in runs}, "art:1")


def chain() -> Growth:
    """art:1 -> run:1 -> art:2 -> run:2 -> art:3, each later than what it was made from but the last edge but one."""
    lives = [
        life("art:1", 1),
        life("run:1", 2, of="Clean"),
        life("art:2", 3, of="Clean data"),
        life("run:2", 4, of="Train"),
        life("art:3", 5, of="Model"),
    ]
    ends = [one.node.key for one in lives]
    return growth(lives, dict(zip(pairwise(ends), (2, 3, 9, 5), strict=True)), "art:1")


def test_a_wide_fan_is_one_node_that_counts_at_every_moment() -> None:
    found = folded(star(20))
    [key] = [key for key in found.lives if key.startswith(PREFIX)]
    group = found.lives[key]
    assert group.node.label == "Trainer × 20"
    assert len(group.members) == 20
    assert group.born == 11
    assert group.at(14).state == "3 of 20, 3 COMPLETE"
    assert group.at(100).state == "20 COMPLETE"
    assert found.edges == {Edge("art:1", key): 11}


def test_a_wide_fan_whose_members_have_more_neighbours_is_one_node_that_counts_them() -> None:
    found = folded(replace(star(20), hidden={"run:1": 2, "run:2": 3}))
    [key] = [key for key in found.lives if key.startswith(PREFIX)]
    assert len(found.lives[key].members) == 20
    assert found.hidden == {key: 5}


def test_a_fan_that_is_not_wide_stays() -> None:
    small = star(5)
    assert folded(small) is small


def test_an_opened_group_stays_as_it_is() -> None:
    wide = star(20)
    [key] = [key for key in folded(wide).lives if key.startswith(PREFIX)]
    assert folded(wide, (key,)) is wide


def test_a_group_follows_the_states_of_its_members() -> None:
    runs = [
        life("run:1", 10, "RUNNING", "COMPLETE", of="R"),
        life("run:2", 20, "RUNNING", "FAILED", of="R", flags=("tainted",)),
    ]
    all_runs = growth([life("art:1", 1), *runs], {("art:1", "run:1"): 10, ("art:1", "run:2"): 20}, "art:1")
    group = grouped(all_runs, by_type(all_runs)).lives[f"{PREFIX}R"]
    assert [(version.offset, version.state) for version in group.versions] == [
        (10, "1 of 2, 1 RUNNING"),
        (11, "1 of 2, 1 COMPLETE"),
        (20, "1 tainted, 1 COMPLETE, 1 RUNNING"),
        (21, "1 tainted, 1 COMPLETE, 1 FAILED"),
    ]
    assert group.at(100).flags == ("tainted",)


def test_groups_are_by_type_day_or_context_and_leave_the_roots_alone() -> None:
    lives = [life("art:1", 1), *(life(f"art:{number}", number, day=number // 3) for number in range(2, 8))]
    many = growth(lives, {}, "art:1")
    assert set(grouped(many, by_type(many)).lives) == {"art:1", f"{PREFIX}Data"}
    assert set(grouped(many, by_day(many)).lives) == {
        "art:1", "art:2", f"{PREFIX}Data 1970-01-02", f"{PREFIX}Data 1970-01-03",
    }  # fmt: skip
    contexts = {"art:2": "taxi", "art:3": "taxi", "art:4": "fraud"}
    assert set(grouped(many, by_context(many, contexts)).lives) == {
        "art:1", f"{PREFIX}Data taxi", "art:4", "art:5", "art:6", "art:7",
    }  # fmt: skip


def test_neighbours_that_are_not_there_are_counted_for_a_group() -> None:
    wide = replace(star(3), hidden={"run:1": 2, "run:2": 5, "art:1": 1})
    assert grouped(wide, by_type(wide)).hidden == {f"{PREFIX}Trainer": 7, "art:1": 1}


def test_edges_lead_through_types_that_are_left_out_once_the_whole_way_is_there() -> None:
    found = only(chain(), ["Model"])
    assert set(found.lives) == {"art:1", "art:3"}
    assert found.edges == {Edge("art:1", "art:3"): 9}
    assert only(chain(), []).edges == chain().edges


def test_of_several_ways_the_first_that_was_whole_counts() -> None:
    lives = [
        life("art:1", 1),
        life("run:1", 2, of="Late"),
        life("run:2", 3, of="Early"),
        life("art:2", 4, of="Model"),
    ]
    ways = {("art:1", "run:1"): 2, ("run:1", "art:2"): 50, ("art:1", "run:2"): 3, ("run:2", "art:2"): 7}
    assert only(growth(lives, ways, "art:1"), ["Model"]).edges == {Edge("art:1", "art:2"): 7}


def test_ways_that_would_be_very_many_are_cut_and_that_is_said() -> None:
    inputs, outputs = (
        [life(f"art:{number}", 1) for number in range(1, 60)],
        [life(f"art:{number}", 3) for number in range(100, 160)],
    )
    edges = {(one.node.key, "run:1"): 2 for one in inputs} | {("run:1", one.node.key): 3 for one in outputs}
    found = only(growth([*inputs, life("run:1", 2, of="R"), *outputs], edges, "art:1"), ["Data"])
    assert len(found.edges) < 59 * 60
    assert "more ways" in found.note


def test_a_cycle_through_what_is_left_out_ends() -> None:
    lives = [life("art:1", 1), life("run:1", 2, of="R"), life("art:2", 3, of="State")]
    edges = {("art:1", "run:1"): 2, ("run:1", "art:2"): 3, ("art:2", "run:1"): 4, ("run:1", "art:1"): 5}
    assert only(growth(lives, edges, "art:1"), ["State"]).edges == {
        Edge("art:1", "art:2"): 3,
        Edge("art:2", "art:1"): 5,
    }


def test_of_too_many_the_nearest_stay_and_the_others_are_counted() -> None:
    found = nearest(chain(), 3)
    assert set(found.lives) == {"art:1", "run:1", "art:2"}
    assert found.hidden == {"art:2": 1}
    assert found.note == "2 more nodes are not shown"
    cut = replace(chain(), hidden={"art:3": 40_000})
    assert nearest(cut, 3).note == "at least 2 more nodes are not shown", "neighbours that were never read are more"
    assert nearest(chain(), 5).lives == chain().lives


def test_what_is_opened_brings_its_neighbours_however_few_are_asked_for() -> None:
    found = nearest(chain(), 3, ("art:2",))
    assert set(found.lives) == {"art:1", "run:1", "art:2", "run:2"}
    assert found.hidden == {"run:2": 1}


@pytest.mark.parametrize("size", [1, 20])
def test_the_layout_has_a_place_for_every_node(size: int) -> None:
    found = folded(star(size))
    assert set(found.layout().places) == set(found.lives)
