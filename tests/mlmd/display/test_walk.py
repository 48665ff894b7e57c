"""Questions of lineage, asked of the story that docs/sql.md tells, of random stores by comparison with a plain search, and of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import factory
import pytest

import mlmd
from mlmd import errors
from mlmd.display.walk import lineage, path
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words
from mlmd.recorder.alive import parse, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.display.graph import Graph


NAMELESS = "-"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mlmd.MetadataStore]:
    store = factory.record(tmp_path_factory.mktemp("story") / "store")
    yield store
    store.close()


@pytest.fixture
def store() -> Iterator[mlmd.MetadataStore]:
    made = mlmd.MetadataStore(pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()))
    yield made
    made.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the methods that stores are asked."""
    names: list[str] = []
    answer = mlmd.MetadataStore.answer
    monkeypatch.setattr(
        mlmd.MetadataStore,
        "answer",
        lambda self, method, request: names.append(method.name) or answer(self, method, request),
    )
    return names


def labels(graph: Graph) -> set[str]:
    return {node.label for node in graph.nodes}


def links(graph: Graph) -> set[tuple[str, str]]:
    label = {node.key: node.label for node in graph.nodes}
    return {(label[edge.source], label[edge.target]) for edge in graph.edges}


def model(store: mlmd.MetadataStore, name: str) -> pb.Artifact:
    found = store.get_artifact_by_type_and_name("Model", name)
    assert found is not None
    return found


class Maker:
    """Puts artifacts and runs with one word each."""

    def __init__(self, store: mlmd.MetadataStore) -> None:
        self.store = store
        self.artifact_type = store.put_artifact_type(pb.ArtifactType(name="A"))
        self.run_type = store.put_execution_type(pb.ExecutionType(name="R"))
        self.count = 0

    def artifact(self, *, tainted: bool = False, **fields: Any) -> pb.Artifact:
        self.count += 1
        made = pb.Artifact(type_id=self.artifact_type, **{"name": f"a{self.count}"} | fields)
        if made.name == NAMELESS:
            made.ClearField("name")
        if tainted:
            made.custom_properties[words.TAINTED].string_value = "leak"
        [made.id] = self.store.put_artifacts([made])
        return made

    def run(self, inputs: list[pb.Artifact], outputs: list[pb.Artifact], state: int = pb.Execution.COMPLETE) -> int:
        pairs = [(one, pb.Event(type=pb.Event.INPUT)) for one in inputs]
        pairs += [(one, pb.Event(type=pb.Event.OUTPUT)) for one in outputs]
        execution = pb.Execution(type_id=self.run_type, last_known_state=state)  # type: ignore[arg-type]
        return self.store.put_execution(execution, pairs, [])[0]


def test_a_lineage_is_everything_a_thing_was_made_from_and_everything_made_from_it(story: mlmd.MetadataStore) -> None:
    graph = lineage(story, model(story, "taxi-2"))
    assert labels(graph) == {"trips-1", "run:1", "taxi-1", "trips-2", "run:3", "taxi-2", "run:4"}
    assert links(graph) == {
        ("trips-1", "run:1"),
        ("run:1", "taxi-1"),
        ("taxi-1", "run:3"),
        ("trips-2", "run:3"),
        ("run:3", "taxi-2"),
        ("taxi-2", "run:4"),
    }


def test_hops_are_counted_as_mlmd_does_and_the_way_not_asked_for_is_none(story: mlmd.MetadataStore) -> None:
    taxi = model(story, "taxi-2")
    assert labels(lineage(story, taxi, up=0)) == {"taxi-2"}
    assert labels(lineage(story, taxi, up=1)) == {"taxi-2", "run:3"}
    assert labels(lineage(story, taxi, up=2)) == {"taxi-2", "run:3", "taxi-1", "trips-2"}
    assert labels(lineage(story, taxi, down=1)) == {"taxi-2", "run:4"}
    assert labels(lineage(story, taxi, up=1, down=1)) == {"taxi-2", "run:3", "run:4"}


def test_neighbours_that_are_not_shown_are_counted_in_both_directions(story: mlmd.MetadataStore) -> None:
    graph = lineage(story, model(story, "taxi-2"), up=2)
    hidden = {node.label: graph.hidden.get(node.key) for node in graph.nodes}
    assert hidden == {"taxi-2": 1, "run:3": None, "taxi-1": 3, "trips-2": 1}


def test_several_roots_make_one_lineage(story: mlmd.MetadataStore) -> None:
    graph = lineage(story, [model(story, "taxi-2"), model(story, "churn-1")], up=2)
    assert labels(graph) >= {"taxi-2", "churn-1", "trips-2"}
    assert len(graph.roots) == 2


def test_a_lineage_as_it_was_does_not_know_what_came_later(story: mlmd.MetadataStore) -> None:
    then = story.as_of("2026-03-02T09:50Z")
    assert labels(lineage(then, "art:2")) == {"trips-1", "run:1", "taxi-1"}
    assert lineage(then, "art:2").note.startswith("as of #")


def test_a_lineage_of_a_name_is_that_of_the_thing(story: mlmd.MetadataStore) -> None:
    taxi = model(story, "taxi-2")
    assert lineage(story, "taxi-2") == lineage(story, taxi) == lineage(story, f"art:{taxi.id}")


@pytest.mark.parametrize("wrong", ["ctx:1", "type:Model", 7, "run:x", []])
def test_what_has_no_lineage_is_refused(story: mlmd.MetadataStore, wrong: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        lineage(story, wrong)


@pytest.mark.parametrize("absent", ["art:999", "run:999", "nobody"])
def test_what_is_not_there_is_said(story: mlmd.MetadataStore, absent: str) -> None:
    with pytest.raises(errors.NotFoundError, match=absent):
        lineage(story, absent)


@pytest.mark.parametrize("wrong", [{"up": -1}, {"down": -1}, {"nodes_max": 0}])
def test_a_negative_distance_is_refused(story: mlmd.MetadataStore, wrong: dict[str, int]) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        lineage(story, "art:1", **wrong)


def test_a_chain_deeper_than_one_call_goes_is_followed_to_its_end(store: mlmd.MetadataStore) -> None:
    maker = Maker(store)
    last = first = maker.artifact()
    for _ in range(120):
        made = maker.artifact()
        maker.run([last], [made])
        last = made
    graph = lineage(store, last, nodes_max=1_000)
    assert len(graph.nodes) == 241
    assert not graph.hidden
    assert f"art:{first.id}" in {node.key for node in graph.nodes}
    assert len(path(store, first, last).nodes) == 241


def test_a_wide_fan_leaves_room_for_what_is_behind_others_and_says_what_is_lacking(store: mlmd.MetadataStore) -> None:
    maker = Maker(store)
    origin, data = maker.artifact(), maker.artifact()
    maker.run([origin], [data])
    for _ in range(200):
        maker.run([data], [])
    graph = lineage(store, data, nodes_max=60)
    keys = [node.key for node in graph.nodes]
    assert len(keys) == 60
    assert f"art:{origin.id}" in keys
    assert "run:201" in keys, "the newest are shown first"
    assert "run:2" not in keys
    assert graph.hidden[f"art:{data.id}"] == 201 + 2 - 60
    assert "the nearest 60 of 203 or more" in graph.note


def test_a_run_that_writes_what_it_reads_is_a_lineage(store: mlmd.MetadataStore) -> None:
    maker = Maker(store)
    one, other = maker.artifact(), maker.artifact()
    maker.run([one], [one, other])
    maker.run([other], [one])
    graph = lineage(store, one)
    assert len(graph.nodes) == 4
    assert len(graph.edges) == 5
    assert graph.svg()
    assert graph.text()


def test_flags_say_what_is_tainted_cached_lost_and_live(store: mlmd.MetadataStore) -> None:
    maker = Maker(store)
    data, made = maker.artifact(tainted=True), maker.artifact()
    maker.run([data], [made], pb.Execution.CACHED)
    alias = pb.ContextType(name=words.ALIAS_TYPE, properties={words.ALIAS_ARTIFACT: pb.INT})
    context = pb.Context(type_id=store.put_context_type(alias), name="a@prod")
    context.properties[words.ALIAS_ARTIFACT].int_value = made.id
    store.put_contexts([context])
    lost = pb.Execution(type_id=maker.run_type, last_known_state=pb.Execution.RUNNING)
    lost.custom_properties[words.PROCESS].string_value = str(parse(this_process())._replace(boot="another"))  # type: ignore[union-attr]
    store.put_execution(lost, [(made, pb.Event(type=pb.Event.INPUT))], [])
    graph = lineage(store, data)
    flags = {node.label: sorted(node.flags) for node in graph.nodes}
    assert flags == {"a1": ["tainted"], "a2": ["live"], "run:1": ["cached"], "run:2": ["lost"]}


def test_labels_are_names_else_the_end_of_the_uri_else_the_id(store: mlmd.MetadataStore) -> None:
    maker = Maker(store)
    named, placed, bare = (
        maker.artifact(uri="s3://b/x"),
        maker.artifact(name=NAMELESS, uri="s3://b/data/7/"),
        maker.artifact(name=NAMELESS),
    )
    maker.run([named, placed, bare], [])
    assert labels(lineage(store, "run:1")) == {"a1", "7", f"art:{bare.id}", "run:1"}


def test_a_role_is_on_its_edge(store: mlmd.MetadataStore) -> None:
    maker = Maker(store)
    data = maker.artifact()
    event = pb.Event(type=pb.Event.INPUT)
    event.path.steps.add(key="warm_start")
    store.put_execution(pb.Execution(type_id=maker.run_type), [(data, event)], [])
    assert [edge.role for edge in lineage(store, data).edges] == ["warm_start"]


def test_the_store_is_asked_a_few_times_however_much_there_is(store: mlmd.MetadataStore, asked: list[str]) -> None:
    maker = Maker(store)
    last = maker.artifact()
    for _ in range(60):
        made = maker.artifact()
        maker.run([last, maker.artifact()], [made])
        last = made
    asked.clear()
    assert len(lineage(store, last).nodes) == 181
    assert len(asked) <= 16


# Paths --------------------------------------------------------------------------------------------------------------


def test_a_path_is_the_way_that_data_took_whichever_end_is_named_first(story: mlmd.MetadataStore) -> None:
    taxi = model(story, "taxi-2")
    there, back = path(story, "trips-1", taxi), path(story, taxi, "trips-1")
    assert labels(there) == {"trips-1", "run:1", "taxi-1", "run:3", "taxi-2"}
    assert labels(back) == labels(there)
    assert links(back) == links(there)


def test_every_shortest_way_is_shown_and_no_longer_one(store: mlmd.MetadataStore) -> None:
    maker = Maker(store)
    start, left, right, detour, end = (maker.artifact() for _ in range(5))
    maker.run([start], [left])
    maker.run([start], [right])
    maker.run([start], [detour])
    maker.run([detour], [left])
    maker.run([left, right], [end])
    graph = path(store, start, end)
    assert labels(graph) == {"a1", "a2", "a3", "a5", "run:1", "run:2", "run:5"}


def test_things_made_from_the_same_are_joined_by_it(story: mlmd.MetadataStore) -> None:
    graph = path(story, model(story, "taxi-2"), model(story, "churn-1"))
    assert labels(graph) == {"taxi-2", "run:3", "trips-2", "run:5", "churn-1"}
    assert "neither was made from the other" in graph.note


def test_a_path_from_a_thing_to_itself_is_that_thing(story: mlmd.MetadataStore) -> None:
    assert labels(path(story, "art:1", "art:1")) == {"trips-1"}


def test_things_with_nothing_in_common_have_no_path(story: mlmd.MetadataStore) -> None:
    with pytest.raises(errors.NotFoundError, match="nothing in common"):
        path(story, "trips-1", "trips-2")


def test_roots_of_both_kinds_each_have_their_hops(store: mlmd.MetadataStore) -> None:
    maker = Maker(store)
    first, second, third, other = (maker.artifact() for _ in range(4))
    maker.run([first], [second])
    maker.run([second], [third, other])
    assert labels(lineage(store, [third, "run:2"], up=1)) == {"a3", "run:2", "a2"}
    assert labels(lineage(store, [third, "run:1"], up=2)) == {"a3", "run:2", "a2", "run:1", "a1"}
    assert labels(lineage(store, ["run:2", first], down=1)) == {"run:2", "a3", "a4", "a1", "run:1"}


def test_a_path_is_looked_for_no_further_than_it_is_long(store: mlmd.MetadataStore, asked: list[str]) -> None:
    maker = Maker(store)
    last = maker.artifact()
    for _ in range(100):
        made = maker.artifact()
        maker.run([last], [made])
        before, last = last, made
    asked.clear()
    assert len(path(store, before, last).nodes) == 3
    assert sum("Lineage" in name for name in asked) == 2
