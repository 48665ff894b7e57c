"""Comparisons: only what differs, inputs by role, and where the lineages part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from three import FORMS, INPUT, OUTPUT, artifact, artifact_type, link, run, run_type, store_in

from evlog.records import Struct
from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder.compare import compare
from mlmd.recorder.references import execution_of
from mlmd.recorder.things import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd import MetadataStore


@pytest.fixture(params=FORMS)
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[MetadataStore]:
    with store_in(request.param, tmp_path / "store") as store:
        yield store


def two(store: MetadataStore, first: dict[str, Any], second: dict[str, Any]) -> list[int]:
    kind = run_type(store)
    return store.put_executions([run(kind, one, last_known_state=pb.Execution.COMPLETE) for one in (first, second)])


def rows(found: Any) -> list[tuple[Any, ...]]:
    return [(one.section, one.key, *one.values) for one in found.differences]


def test_what_python_holds_equal_within_a_struct_differs(store: MetadataStore) -> None:
    found = compare(store, *two(store, {"p.options": Struct({"deep": [1]})}, {"p.options": Struct({"deep": [True]})}))
    assert [(one.key, one.values[1]) for one in found.differences] == [("options", {"deep": [True]})]


def test_only_what_differs_is_told_and_the_rest_counted(store: MetadataStore) -> None:
    first, second = two(
        store,
        {
            "p.lr": 0.1,
            "p.same": 3,
            "p.layers": Struct({"a": [1, 2]}),
            "m.acc": 0.5,
            "m.nan": float("nan"),
            "t.who": "ana",
            "evlog.code": "a" * 64,
        },
        {
            "p.lr": 0.3,
            "p.same": 3,
            "p.layers": Struct({"a": [1, 2]}),
            "m.acc": 0.75,
            "m.nan": float("nan"),
            "p.new": True,
            "evlog.code": "b" * 64,
        },
    )
    found = compare(store, f"run:{first}", second)
    assert rows(found) == [
        ("metric", "acc", 0.5, 0.75),
        ("param", "lr", 0.1, 0.3),
        ("param", "new", None, True),
        ("code", "digest", "a" * 12, "b" * 12),
        ("tag", "who", "ana", None),
    ]
    assert found.differences[0].delta == 0.25
    assert found.equal == 5  # state, type, same, layers, nan.
    assert found
    assert list(found.table.columns) == ["what", "key", f"run:{first}", f"run:{second}", "delta"]
    assert "5 differ, 5 equal" in str(found)
    assert found.markdown().startswith("| what | key |")
    assert "<table" in found._repr_html_()


def test_one_true_and_1_and_1_0_are_three_values(store: MetadataStore) -> None:
    first, second = two(store, {"p.a": 1, "p.b": True}, {"p.a": 1.0, "p.b": 1})
    assert [row[1] for row in rows(compare(store, first, second))] == ["a", "b"]


def test_equal_runs_do_not_differ(store: MetadataStore) -> None:
    first, second = two(store, {"p.lr": 1}, {"p.lr": 1})
    found = compare(store, first, second)
    assert not found
    assert "no difference, 3 equal" in str(found)


def test_inputs_differ_by_role_then_name_then_type(store: MetadataStore) -> None:
    first, second = two(store, {}, {})
    data, model = artifact_type(store, "Data"), artifact_type(store, "Model")
    old, new, base, better, schema = store.put_artifacts(
        [
            artifact(data, {"evlog.name": "taxi"}, name="taxi:6"),
            artifact(data, {"evlog.name": "taxi"}, name="taxi:7"),
            artifact(model, name="taxi-model:29"),
            artifact(model, name="taxi-model:30"),
            artifact(data),
        ]
    )
    for one, taxi, warm in ((first, old, base), (second, new, better)):
        link(store, one, taxi, INPUT)
        link(store, one, warm, INPUT, role="warm_start")
        link(store, one, schema, INPUT)
    found = compare(store, first, second)
    assert rows(found) == [
        ("input", "taxi", "taxi:6", "taxi:7"),
        ("input", "warm_start", "taxi-model:29", "taxi-model:30"),
    ]
    assert found.parting.common == [("artifact", schema)]
    assert found.parting.alone == [
        [("execution", first), ("artifact", old), ("artifact", base)],
        [("execution", second), ("artifact", new), ("artifact", better)],
    ]


def test_lineages_part_at_the_first_that_they_share(store: MetadataStore) -> None:
    """raw -> split -> {train, test}; train -> first; train, clean -> second."""
    kind, data = run_type(store), artifact_type(store, "Data")
    split, first, second, cleaned = store.put_executions([run(kind) for _ in range(4)])
    raw, train, clean, dust = store.put_artifacts(
        [artifact(data, name=name) for name in ("raw:1", "train:1", "clean:1", "dust:1")]
    )
    for one, number, way in (
        (split, raw, INPUT),
        (split, train, OUTPUT),
        (first, train, INPUT),
        (cleaned, dust, INPUT),
        (cleaned, clean, OUTPUT),
        (second, train, INPUT),
        (second, clean, INPUT),
    ):
        link(store, one, number, way)
    found = compare(store, first, second)
    assert found.parting.common == [("artifact", train)]
    assert found.parting.alone == [
        [("execution", first)],
        [("execution", second), ("artifact", clean), ("artifact", dust), ("execution", cleaned)],
    ]
    assert found.parts() == [
        "lineages part at train:1",
        f"run:{first} alone: run:{first}",
        f"run:{second} alone: run:{second} clean:1 dust:1 run:{cleaned}",
    ]
    assert compare(store, first, cleaned).parts()[0] == "lineages have nothing in common"


def test_one_run_at_two_moments(store: MetadataStore) -> None:
    [one, _] = two(store, {"m.acc": 0.5}, {})
    then = store.as_of("now")
    [execution] = store.get_executions_by_id([one])
    execution.custom_properties["m.acc"].double_value = 0.75
    store.put_executions([execution])
    found = compare(store, Run(then, execution_of(then, one)), one)
    assert rows(found) == [("metric", "acc", 0.5, 0.75)]
    assert len(set(found.labels)) == 2
    assert found.parts() == []


def test_three_runs_stand_side_by_side(store: MetadataStore) -> None:
    kind = run_type(store)
    made = store.put_executions([run(kind, {"m.acc": at / 4, "p.lr": 1}) for at in range(3)])
    found = compare(store, *made)
    assert rows(found) == [("metric", "acc", 0.0, 0.25, 0.5)]
    assert found.differences[0].delta == 0.5


@pytest.mark.parametrize(
    ("runs", "error", "said"),
    [
        ((), errors.InvalidArgumentError, "name two runs or more"),
        (("run:1",), errors.InvalidArgumentError, "name two runs or more"),
        (("run:1", "run:99"), errors.NotFoundError, "there is no run:99"),
        (("run:1", "art:1"), errors.InvalidArgumentError, "is no run"),
        (("run:1", "nobody"), errors.NotFoundError, "nobody"),
    ],
)
def test_what_is_no_two_runs_is_refused(store: MetadataStore, runs: Any, error: Any, said: str) -> None:
    two(store, {}, {})
    store.put_artifacts([artifact(artifact_type(store, "Data"))])
    with pytest.raises(error, match=said):
        compare(store, *runs)
