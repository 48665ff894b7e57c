"""Impact, taint and untaint: everything made from a thing, in one record, whatever others do meanwhile; in process and of a server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from three import FORMS, INPUT, OUTPUT, artifact, artifact_type, before_the_put, link, run, run_type, store_in

from mlmd import errors
from mlmd.client import Remote
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import aliases
from mlmd.recorder.impact import impact
from mlmd.recorder.search import latest, runs
from mlmd.recorder.standing import is_tainted, why_tainted
from mlmd.recorder.taint import taint, untaint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd import MetadataStore


@pytest.fixture(params=FORMS)
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[MetadataStore]:
    with store_in(request.param, tmp_path / "store") as store:
        yield store


class Chain:
    """data -> trained (run 1) -> model -> pushed (run 2) -> place; model -> tuned (run 3) -> better; other, alone."""

    def __init__(self, store: MetadataStore) -> None:
        trainer, pusher = run_type(store), run_type(store, "Pusher")
        model = artifact_type(store, "Model")
        self.data, self.model, self.place, self.better, self.other = store.put_artifacts(
            [
                artifact(artifact_type(store, "Data"), name="taxi:7", uri="s3://b/taxi/7"),
                artifact(model, {"acc": 0.5}, name="taxi-model:1", state=pb.Artifact.LIVE),
                artifact(artifact_type(store, "PushedModel")),
                artifact(model),
                artifact(model),
            ]
        )
        self.trained, self.pushed, self.tuned = store.put_executions([run(trainer), run(pusher), run(trainer)])
        for one, number, kind in (
            (self.trained, self.data, INPUT),
            (self.trained, self.model, OUTPUT),
            (self.pushed, self.model, INPUT),
            (self.pushed, self.place, OUTPUT),
            (self.tuned, self.model, pb.Event.DECLARED_INPUT),
            (self.tuned, self.better, pb.Event.DECLARED_OUTPUT),
        ):
            link(store, one, number, kind)


def tainted(store: MetadataStore) -> tuple[list[int], list[int]]:
    return [one.id for one in store.get_artifacts() if is_tainted(one)], [
        one.id for one in store.get_executions() if is_tainted(one)
    ]


# Impact ----------------------------------------------------------------------------------------------------------------


def test_impact_is_everything_downstream_what_is_live_first(store: MetadataStore) -> None:
    chain = Chain(store)
    aliases.move(store, "taxi-model@prod", store.get_artifacts_by_id([chain.better])[0])
    found = impact(store, "taxi:7")
    assert list(found.artifacts.items()) == [
        (chain.model, "Model"),
        (chain.place, "PushedModel"),
        (chain.better, "Model"),
    ]
    assert sorted(found.executions) == [chain.trained, chain.pushed, chain.tuned]
    assert found.live[chain.better] == ["taxi-model@prod"]
    assert found.live[chain.model] == [f"run:{chain.pushed}"]
    assert found.in_words() == "2 Model (2 live), 1 PushedModel (1 live), 3 runs, 1 push"
    assert [row[1] for row in found.table(1).rows] == [chain.model]
    assert "taxi-model:1" in str(found)
    assert "<table" in found._repr_html_()
    assert len(found) == 3
    assert list(impact(store, f"run:{chain.tuned}").artifacts) == [chain.better]
    nothing = impact(store, f"art:{chain.other}")
    assert not nothing
    assert repr(nothing) == f"from art:{chain.other} was made: 0 runs"


def test_impact_of_a_moment_is_that_of_then(store: MetadataStore) -> None:
    chain = Chain(store)
    then = store.as_of("now")
    late = run_type(store)
    [extra] = store.put_executions([run(late)])
    link(store, extra, chain.better, INPUT)
    assert extra in impact(store, "taxi:7").executions
    assert extra not in impact(then, "taxi:7").executions


@pytest.mark.parametrize(
    ("thing", "error", "said"),
    [
        ("type:Model", errors.InvalidArgumentError, "name an artifact or a run"),
        ("ctx:1", errors.InvalidArgumentError, "ctx:1: name an artifact or a run"),
        ("nobody:3", errors.NotFoundError, "nobody"),
        ("art:99", errors.NotFoundError, "there is no art:99"),
        (3.5, errors.InvalidArgumentError, "names nothing"),
    ],
)
def test_what_has_no_impact_is_refused(store: MetadataStore, thing: Any, error: Any, said: str) -> None:
    Chain(store)
    with pytest.raises(error, match=said):
        impact(store, thing)
    with pytest.raises(error):
        taint(store, thing, "because")


def test_cycles_end_and_a_thing_is_not_its_own_impact(store: MetadataStore) -> None:
    kind, made = run_type(store), artifact_type(store, "Data")
    [one] = store.put_executions([run(kind)])
    first, second = store.put_artifacts([artifact(made), artifact(made)])
    for number in (first, second):
        link(store, one, number, INPUT)
        link(store, one, number, OUTPUT)
    found = impact(store, f"art:{first}")
    assert (list(found.artifacts), list(found.executions)) == ([second], [one])
    assert taint(store, f"art:{first}", "leak")[:2] == ((first, second), (one,))


# Taint -----------------------------------------------------------------------------------------------------------------


def test_taint_marks_all_of_it_in_one_record_with_its_reason(store: MetadataStore) -> None:
    chain = Chain(store)
    then = store.as_of("now")
    done = impact(store, "taxi:7").taint("label leak, ticket 81")
    assert sorted(done.artifacts) == [chain.data, chain.model, chain.place, chain.better]
    assert sorted(done.executions) == [chain.trained, chain.pushed, chain.tuned]
    assert done.already == 0
    assert tainted(store) == (
        [chain.data, chain.model, chain.place, chain.better],
        [chain.trained, chain.pushed, chain.tuned],
    )
    assert tainted(then) == ([], [])
    [model] = store.get_artifacts_by_id([chain.model])
    assert why_tainted(model) == "label leak, ticket 81"
    assert model.custom_properties["acc"].double_value == 0.5
    assert (model.name, model.state) == ("taxi-model:1", pb.Artifact.LIVE)
    assert latest(store, "Model").id == chain.other
    assert len(runs(store, "tainted")) == 3
    assert taint(store, "taxi:7", "another reason") == ((), (), 7)
    [model] = store.get_artifacts_by_id([chain.model])
    assert why_tainted(model) == "label leak, ticket 81"


def test_a_taint_is_one_record_that_says_why(tmp_path: Any) -> None:
    with store_in("folder", tmp_path / "store") as store:
        Chain(store)
        end = store.log.end
        taint(store, "taxi:7", "label leak")
        assert store.log.end == end + 1
        [entry] = store.log.read(end, end + 1)
        assert entry.record.envelope.reason == "label leak"
        assert entry.record.envelope.api == "Taint"
        untaint(store, "taxi:7", "it was none")
        assert store.log.end == end + 2


def test_a_thing_alone_can_be_tainted_and_several_at_once(store: MetadataStore) -> None:
    chain = Chain(store)
    taint(store, "taxi:7", "itself", downstream=False)
    assert tainted(store) == ([chain.data], [])
    done = taint(store, ["taxi:7", f"run:{chain.tuned}", f"run:{chain.tuned}"], "both", downstream=False)
    assert done == ((), (chain.tuned,), 1)


def test_untaint_takes_away_the_same_mark_and_leaves_others(store: MetadataStore) -> None:
    chain = Chain(store)
    taint(store, f"art:{chain.better}", "its own")
    taint(store, "taxi:7", "leak")
    done = untaint(store, "taxi:7", "checked again")
    assert sorted(done.artifacts) == [chain.data, chain.model, chain.place]
    assert tainted(store) == ([chain.better], [])
    assert untaint(store, "taxi:7", "checked again")[:2] == ((), ())
    untaint(store, f"art:{chain.better}", "that too", downstream=False)
    assert tainted(store) == ([], [])


@pytest.mark.parametrize("because", ["", "  ", None, 3, "x" * 2_000, "\udcff"])
def test_a_taint_says_why(store: MetadataStore, because: Any) -> None:
    Chain(store)
    with pytest.raises(errors.InvalidArgumentError):
        taint(store, "taxi:7", because)
    assert tainted(store) == ([], [])


def test_nothing_is_no_thing_and_one_that_is_not_there_leaves_no_trace(store: MetadataStore) -> None:
    Chain(store)
    with pytest.raises(errors.InvalidArgumentError, match="taint what"):
        taint(store, [], "leak")
    with pytest.raises(errors.NotFoundError, match="there is no run:99"):
        taint(store, ["taxi:7", "run:99"], "leak")
    assert tainted(store) == ([], [])


def test_the_past_takes_no_taint(store: MetadataStore) -> None:
    Chain(store)
    with pytest.raises(errors.FailedPreconditionError):
        taint(store.as_of("now"), "taxi:7", "leak")


def test_no_put_of_others_is_lost_to_a_taint(tmp_path: Any) -> None:
    with store_in("folder", tmp_path / "store") as store:
        chain = Chain(store)
        stop = threading.Event()

        def put_on() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                made = pb.Artifact(id=chain.model)
                made.custom_properties["count"].int_value = number
                store.put_artifacts([made], ["custom_properties.count"])
            counted.append(number)

        counted: list[int] = []
        thread = threading.Thread(target=put_on)
        thread.start()
        for _ in range(20):
            taint(store, "taxi:7", "leak")
            untaint(store, "taxi:7", "no leak")
        stop.set()
        thread.join()
        [model] = store.get_artifacts_by_id([chain.model])
        assert model.custom_properties["count"].int_value == counted[0]
        assert not is_tainted(model)


def count(store: MetadataStore, number: int, value: int) -> None:
    """Put a property of an artifact as any client of ML Metadata does."""
    made = pb.Artifact(id=number)
    made.custom_properties["count"].int_value = value
    store.put_artifacts([made], ["custom_properties.count"])


def test_what_others_put_right_before_a_taint_stays(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(store)
    put = "PutLineageSubgraph" if isinstance(store._backend, Remote) else "Taint"
    for number, mark in enumerate((taint, untaint)):
        before_the_put(store, monkeypatch, put, lambda number=number: count(store, chain.model, number))  # type: ignore[misc]
        assert len(mark(store, "taxi:7", "leak").artifacts) == 4
        [model] = store.get_artifacts_by_id([chain.model])
        assert model.custom_properties["count"].int_value == number
    assert not is_tainted(model)


def test_what_is_made_right_before_a_taint_is_tainted(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(store)
    kind, model = run_type(store), artifact_type(store, "Model")
    made: list[Any] = []

    def make() -> None:
        pairs = [
            (pb.Artifact(id=chain.better, type_id=model), pb.Event(type=INPUT)),
            (artifact(model), pb.Event(type=OUTPUT)),
        ]
        made.append(store.put_execution(run(kind), pairs, []))

    before_the_put(store, monkeypatch, "PutLineageSubgraph" if isinstance(store._backend, Remote) else "Taint", make)
    done = taint(store, "taxi:7", "leak")
    [(number, ids, _)] = made
    assert number in tainted(store)[1]
    assert ids[1] in tainted(store)[0]
    assert number in done.executions
    assert ids[1] in done.artifacts
    assert done.already == 0


def test_what_is_made_meanwhile_is_tainted_or_was_made_from_what_is(tmp_path: Any) -> None:
    with store_in("folder", tmp_path / "store") as store:
        chain = Chain(store)
        kind, model = run_type(store), artifact_type(store, "Model")
        made: list[tuple[int, int]] = []
        begun = threading.Event()

        def make() -> None:
            read = pb.Artifact(id=chain.model, type_id=model)
            for _ in range(60):
                pairs = [(read, pb.Event(type=INPUT)), (artifact(model), pb.Event(type=OUTPUT))]
                number, ids, _ = store.put_execution(run(kind), pairs, [])
                made.append((number, ids[1]))
                begun.set()

        thread = threading.Thread(target=make)
        thread.start()
        begun.wait()
        end = store.log.end
        taint(store, "taxi:7", "leak")
        thread.join()
        [offset] = [
            entry.offset for entry in store.log.read(end, store.log.end) if entry.record.envelope.api == "Taint"
        ]
        before, after = store.as_of(offset), store.as_of(offset + 1)
        there = {one.id for one in before.get_executions()}
        for number, one in made:
            if number in there:
                [execution], [output] = after.get_executions_by_id([number]), after.get_artifacts_by_id([one])
                assert is_tainted(execution)
                assert is_tainted(output)
            else:
                assert number not in tainted(store)[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(
    edges=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()), unique=True), start=st.integers(0, 7)
)
@pytest.mark.parametrize("form", FORMS)
def test_impact_is_what_can_be_walked_to(form: str, edges: list[Any], start: int, tmp_path_factory: Any) -> None:
    with store_in(form, tmp_path_factory.mktemp("store") / "store") as store:
        kind, made = run_type(store), artifact_type(store, "Data")
        all_runs = store.put_executions([run(kind) for _ in range(8)])
        all_artifacts = store.put_artifacts([artifact(made) for _ in range(8)])
        leads: dict[tuple[str, int], set[tuple[str, int]]] = {}
        for one, number, out in edges:
            link(store, all_runs[one], all_artifacts[number], OUTPUT if out else INPUT)
            ends = ("run", all_runs[one]), ("art", all_artifacts[number])
            source, target = ends if out else ends[::-1]
            leads.setdefault(source, set()).add(target)
        root = ("art", all_artifacts[start])
        reached, waiting = {root}, [root]
        while waiting:
            new = leads.get(waiting.pop(), set()) - reached
            reached |= new
            waiting += new
        reached.discard(root)
        found = impact(store, f"art:{all_artifacts[start]}")
        assert {("run", one) for one in found.executions} | {("art", one) for one in found.artifacts} == reached


def test_personal_values_stay_sealed_for_their_subject_when_a_taint_puts_them_again(tmp_path: Any) -> None:
    with store_in("folder", tmp_path / "store") as store:
        store.declare_personal([{"property": "operator"}])
        chain = Chain(store)
        with store.acting(subject="u-17"):
            store.put_artifacts([artifact(artifact_type(store, "Model"), {"operator": "Ana"}, id=chain.better)])
        taint(store, "taxi:7", "leak")
        [better] = store.get_artifacts_by_id([chain.better])
        assert is_tainted(better)
        assert better.custom_properties["operator"].string_value == "Ana"
        with store.acting(reason="request 4711"):
            store.erase("u-17")
        [better] = store.get_artifacts_by_id([chain.better])
        assert better.custom_properties["operator"].string_value == "[erased]"
        assert untaint(store, "taxi:7", "no leak").artifacts
        assert b"Ana" not in b"".join(path.read_bytes() for path in (tmp_path / "store" / "log").glob("*.seg*"))
