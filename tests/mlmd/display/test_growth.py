"""Lineages through time: every moment of one is what the store of that moment says."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from growths import as_it_was, growth, there
from hypothesis import given, settings
from hypothesis import strategies as st

import mlmd
from mlmd import errors
from mlmd.display import growing
from mlmd.display.graph import Node
from mlmd.display.growth import Life, Version
from mlmd.display.nodes import UNBORN
from mlmd.display.walk import among, lineage
from mlmd.names import parse
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import aliases, words
from mlmd.story import record_story

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "taxi-model:4"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mlmd.MetadataStore]:
    with mlmd.open(tmp_path_factory.mktemp("story") / "store") as store:
        record_story(store, 60)
        yield store.metadata


@pytest.fixture
def store() -> Iterator[mlmd.MetadataStore]:
    made = mlmd.MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    yield made
    made.close()


def test_every_moment_of_a_lineage_is_what_the_store_of_that_moment_says(story: mlmd.MetadataStore) -> None:
    found = growth(story, ROOT)
    assert len(found.lives) == len(lineage(story, ROOT).nodes)
    for offset in range(found.end + 1):
        assert there(found.at(offset)) == as_it_was(story, found, offset), offset


def test_nothing_moves_from_one_moment_to_another(story: mlmd.MetadataStore) -> None:
    found = growth(story, ROOT)
    keys = [node.key for node in found.at(found.end).nodes]
    for offset in (0, 50, found.end):
        graph = found.at(offset)
        assert [node.key for node in graph.nodes] == keys
        assert len(graph.edges) == len(found.edges)
    assert UNBORN in {flag for node in found.at(50).nodes for flag in node.flags}


def test_neighbours_that_are_not_there_are_counted(story: mlmd.MetadataStore) -> None:
    found = growth(story, ROOT, up=2, down=1)
    assert found.hidden == among(story, [], [parse(key) for key in found.lives]).hidden
    assert found.hidden


def test_a_lineage_of_a_moment_knows_nothing_of_what_came_later(story: mlmd.MetadataStore) -> None:
    found = growth(story.as_of(60), "taxi-model:2")
    assert found.end == 60
    assert max(offset for offset, _, _ in found.ticks) < 60
    assert there(found.at(60)) == as_it_was(story, found, 60)


def test_ticks_are_the_records_that_put_any_of_it_with_their_times(story: mlmd.MetadataStore) -> None:
    found = growth(story, ROOT)
    entries = {entry.offset: entry for entry in story.log.read(0)}
    for offset, time_ms, count in found.ticks:
        assert count > 0
        assert abs(entries[offset].time_us // 1000 - time_ms) <= 1
    assert {life.born for life in found.lives.values()} <= {offset for offset, _, _ in found.ticks}


def test_what_became_of_a_node_between_two_moments_is_told(story: mlmd.MetadataStore) -> None:
    found = growth(story, "taxi-model:1")
    model = found.lives["art:2"]
    assert model.status(0, model.born) == UNBORN
    assert model.status(model.born, model.born + 1) == "added"
    assert model.status(0, found.end) == "added"
    assert model.status(model.born + 1, model.born + 1) == ""
    assert model.status(model.born + 1, found.end) == "changed"  # It was live for a while.


@pytest.mark.parametrize("state", ["DELETED", "MARKED_FOR_DELETION", "ABANDONED"])
def test_what_is_no_longer_to_be_had_is_gone(state: str) -> None:
    life = Life(Node("art:1", "artifact", "a"), (Version(3, "LIVE"), Version(7, state), Version(9, "DELETED")))
    assert life.status(5, 8) == "gone"
    assert life.status(0, 8) == "gone"
    assert life.status(8, 10) == "changed"


def test_levels_are_hops_from_the_roots(story: mlmd.MetadataStore) -> None:
    levels = growth(story, ROOT, up=3, down=2).levels
    assert levels["art:34"] == 0
    assert min(levels.values()) == -3
    assert max(levels.values()) == 2


def test_every_neighbour_of_what_is_opened_is_there(story: mlmd.MetadataStore) -> None:
    [hub] = growth(story, ROOT, up=2, down=0).hidden.keys() & {"art:22"}
    found = growth(story, ROOT, up=2, down=0, opened=(hub,))
    assert hub not in found.hidden


def test_a_wide_fan_leaves_room_for_others_and_its_newest_are_shown(store: mlmd.MetadataStore) -> None:
    artifact_type = store.put_artifact_type(pb.ArtifactType(name="A"))
    run_type = store.put_execution_type(pb.ExecutionType(name="R"))
    [hub] = store.put_artifacts([pb.Artifact(type_id=artifact_type)])
    runs = store.put_executions([pb.Execution(type_id=run_type) for _ in range(60)])
    store.put_events([pb.Event(artifact_id=hub, execution_id=run, type=pb.Event.INPUT) for run in runs])
    found = growth(store, f"art:{hub}", nodes_max=5)
    assert len(found.lives) == 20
    assert f"run:{runs[-1]}" in found.lives
    assert found.hidden == {f"art:{hub}": 60 - 19}


def test_no_level_takes_more_edges_than_a_bound(store: mlmd.MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "_EDGES_MAX", 7)
    artifact_type = store.put_artifact_type(pb.ArtifactType(name="A"))
    run_type = store.put_execution_type(pb.ExecutionType(name="R"))
    [hub] = store.put_artifacts([pb.Artifact(type_id=artifact_type)])
    runs = store.put_executions([pb.Execution(type_id=run_type) for _ in range(20)])
    store.put_events([pb.Event(artifact_id=hub, execution_id=run, type=pb.Event.INPUT) for run in runs])
    found = growth(store, f"art:{hub}")
    assert set(found.lives) == {f"art:{hub}", *(f"run:{run}" for run in runs[:7])}
    assert found.hidden == {f"art:{hub}": 13}


# Random histories ----------------------------------------------------------------------------------------------------

PUTS = st.lists(
    st.tuples(
        st.sampled_from(["artifact", "run", "input", "output", "state", "taint", "alias", "unalias"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=16,
)


class Putter:
    """Puts what a random history says, as far as there is something to put it to."""

    def __init__(self, store: mlmd.MetadataStore) -> None:
        self.store = store
        self.artifact_type = store.put_artifact_type(pb.ArtifactType(name="A"))
        self.run_type = store.put_execution_type(pb.ExecutionType(name="R"))
        self.artifacts = store.put_artifacts([pb.Artifact(type_id=self.artifact_type, uri="s3://b/first")])
        self.runs = store.put_executions([pb.Execution(type_id=self.run_type)])

    def put(self, what: str, one: int, other: int) -> None:
        artifact, run = self.artifacts[one % len(self.artifacts)], self.runs[other % len(self.runs)]
        match what:
            case "artifact":
                self.artifacts += self.store.put_artifacts([pb.Artifact(type_id=self.artifact_type, state=one)])  # type: ignore[arg-type]
            case "run":
                self.runs += self.store.put_executions([pb.Execution(type_id=self.run_type, last_known_state=other)])  # type: ignore[arg-type]
            case "input" | "output":
                event = pb.Event(artifact_id=artifact, execution_id=run, type=what.upper())  # type: ignore[arg-type]
                event.path.steps.add().key = f"role{one}"
                with suppress(errors.AlreadyExistsError):
                    self.store.put_events([event])
            case "state":
                [message] = self.store.get_executions_by_id([run])
                message.last_known_state = one + 1  # type: ignore[assignment]
                self.store.put_executions([message])
            case "taint":
                [message] = self.store.get_artifacts_by_id([artifact])
                message.custom_properties[words.TAINTED].string_value = f"leak {other}"
                self.store.put_artifacts([message])
            case "alias":
                [message] = self.store.get_artifacts_by_id([artifact])
                aliases.move(self.store, f"name@{'ab'[other % 2]}", message)
            case "unalias":
                if (alias := aliases.alias_of(self.store, "name@a")) is not None and alias.artifact_id is not None:
                    aliases.move(self.store, "name@a", None)


@settings(max_examples=12, deadline=None)
@given(PUTS)
def test_every_moment_of_a_random_history_is_as_the_store_was(puts: list[tuple[Any, ...]]) -> None:
    store = mlmd.MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    try:
        putter = Putter(store)
        for put in puts:
            putter.put(*put)
        found = growth(
            store,
            f"art:{putter.artifacts[0]}",
            f"run:{putter.runs[0]}",
            opened=tuple(f"art:{one}" for one in putter.artifacts),
        )
        for offset in range(found.end + 1):
            assert there(found.at(offset)) == as_it_was(store, found, offset), offset
        assert found.hidden == among(store, [], [parse(key) for key in found.lives]).hidden
    finally:
        store.close()
