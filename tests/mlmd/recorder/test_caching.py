"""Has this been run before? A hit is the run, a miss says what differs, and what is used again is on record."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmd import ListOptions, errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import caching, words
from mlmd.recorder.caching import Miss, key_of
from projections.sqlite.properties import HOT

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.recorder.run import Recording
    from mlmd.recorder.store import Store

A, B = "a" * 64, "b" * 64


def train(s: Store, data: str = "taxi:1", code: str | None = None, role: str | None = None, **params: Any) -> Recording:
    with s.run("Trainer", params=params, code=code) as r:
        r.input(data, role=role)
        r.output(f"s3://m/{r.id}", "Model", name="m")
    return r


@pytest.fixture
def made(s: Store) -> Store:
    """A store with two versions of taxi."""
    for number in (1, 2):
        with s.run("Gen") as r:
            r.output(f"s3://taxi/{number}", "Dataset", name="taxi")
    return s


def test_a_run_is_found_again_by_type_code_inputs_and_parameters(made: Store) -> None:
    r = train(made, lr=0.1, epochs=3, layers=[1, 2.0], opt=None)
    for inputs in (["taxi:1"], ["art:1"], [made.artifact("taxi:1")], {"": "taxi:1"}):
        hit = made.cached("Trainer", inputs, {"epochs": 3.0, "lr": 0.1, "layers": [1.0, 2], "opt": None})
        assert hit == r.run
    assert hit.outputs[0].label == "m:1"


@pytest.mark.parametrize(
    ("inputs", "params", "code", "told"),
    [
        (["taxi:1"], {"lr": 0.2}, A, "params.lr: 0.1 in run:3, 0.2 here"),
        (["taxi:1"], {}, A, "params.lr: 0.1 in run:3, none here"),
        (["taxi:1"], {"lr": 0.1, "x": None}, A, "params.x: none in run:3, None here"),
        (["taxi:1"], {"lr": "0.1"}, A, "params.lr: 0.1 in run:3, '0.1' here"),
        (["taxi:1"], {"lr": True}, A, "params.lr: 0.1 in run:3, True here"),
        (["taxi:2"], {"lr": 0.1}, A, "input: taxi:1 in run:3, taxi:2 here"),
        ([], {"lr": 0.1}, A, "input: taxi:1 in run:3, none here"),
        ({"train": "taxi:1"}, {"lr": 0.1}, A, "input: taxi:1 in run:3, none here"),
        (["taxi:1", "taxi:2"], {"lr": 0.1}, A, "input: none in run:3, taxi:2 here"),
        (["taxi:1"], {"lr": 0.1}, B, "code: aaaaaaaaaaaa in run:3, bbbbbbbbbbbb here"),
        (["taxi:2"], {"lr": 0.2}, B, "code: aaaaaaaaaaaa in run:3, bbbbbbbbbbbb here"),
    ],
)
def test_a_miss_names_the_first_difference(
    made: Store, inputs: Any, params: dict[str, Any], code: str, told: str
) -> None:
    train(made, lr=0.1, code=A)
    miss = made.cached("Trainer", inputs, params, code=code)
    assert isinstance(miss, Miss)
    assert not miss
    assert str(miss) == miss.differences[0] == told
    assert miss.run is not None
    assert miss.run.id == 3


def test_a_miss_is_told_by_the_earlier_run_that_is_nearest(made: Store) -> None:
    for lr, epochs, data in ((0.1, 3, "taxi:1"), (0.2, 4, "taxi:2"), (0.3, 5, "taxi:2")):
        train(made, data, lr=lr, epochs=epochs)
    assert str(made.cached("Trainer", ["taxi:1"], {"lr": 0.2, "epochs": 3})) == "params.lr: 0.1 in run:3, 0.2 here"
    assert str(made.cached("Evaluator")) == "no Evaluator has completed yet"
    assert repr(made.cached("Evaluator")) == "<miss: no Evaluator has completed yet>"


def test_without_code_the_code_that_ran_last_is_meant(made: Store) -> None:
    first, second = train(made, code=A), train(made, code=B)
    assert made.cached("Trainer", ["taxi:1"]).id == second.id  # type: ignore[union-attr]
    assert made.cached("Trainer", ["taxi:1"], code=A).id == first.id  # type: ignore[union-attr]


def test_what_is_tainted_failed_or_gone_is_not_used_again(made: Store) -> None:
    r = train(made, lr=0.1)

    def ask() -> str:
        return str(made.cached("Trainer", ["taxi:1"], {"lr": 0.1}))

    def put(**changes: Any) -> None:
        output = r.outputs[0].message
        output.state = changes.get("state", pb.Artifact.LIVE)
        output.custom_properties.pop(words.TAINTED, None)
        if "output" in changes:
            output.custom_properties[words.TAINTED].string_value = changes["output"]
        made.metadata.put_artifacts([output])
        execution = r.run.message
        execution.last_known_state = changes.get("run_state", pb.Execution.COMPLETE)
        execution.custom_properties.pop(words.TAINTED, None)
        if "run" in changes:
            execution.custom_properties[words.TAINTED].string_value = changes["run"]
        made.metadata.put_executions([execution])

    put(run="label leak")
    assert ask() == f"run:{r.id} is the same, but it is tainted: label leak"
    put(output="label leak")
    assert ask() == f"run:{r.id} is the same, but m:1, which it made, is tainted: label leak"
    put(state=pb.Artifact.MARKED_FOR_DELETION)
    assert ask() == f"run:{r.id} is the same, but m:1, which it made, is MARKED_FOR_DELETION"
    put(run_state=pb.Execution.FAILED)
    assert ask() == f"run:{r.id} is the same, but it is FAILED"
    put()
    assert made.cached("Trainer", ["taxi:1"], {"lr": 0.1}) == r.run
    put(run="label leak")
    again = train(made, lr=0.1)
    assert made.cached("Trainer", ["taxi:1"], {"lr": 0.1}) == again.run
    put()
    execution = again.run.message
    execution.custom_properties[words.TAINTED].string_value = "x"
    made.metadata.put_executions([execution])
    assert made.cached("Trainer", ["taxi:1"], {"lr": 0.1}) == r.run  # The one before it.


def test_failed_and_lost_runs_are_never_found(made: Store) -> None:
    with pytest.raises(KeyError), made.run("Trainer") as r:
        r.input("taxi:1")
        raise KeyError
    open_run = made.run("Trainer")
    open_run.__enter__()
    assert str(made.cached("Trainer", ["taxi:1"])) == "no Trainer has completed yet"
    open_run.__exit__(None, None, None)


def test_an_input_that_is_not_there_is_an_error_and_no_miss(made: Store) -> None:
    with pytest.raises(errors.NotFoundError, match="there is no taxi:9"):
        made.cached("Trainer", ["taxi:9"])
    for wrong, told in (("taxi:1", "inputs: 'taxi:1': give a list"), (7, "inputs: 7")):
        with pytest.raises(errors.InvalidArgumentError, match=told):
            made.cached("Trainer", wrong)
    with pytest.raises(errors.InvalidArgumentError, match="bytes are no value"):
        made.cached("Trainer", [], {"x": b""})


def test_what_is_used_again_is_on_record(made: Store) -> None:
    r = train(made, lr=0.1, code=A, role="data")
    again = made.reuse(made.cached("Trainer", {"data": "taxi:1"}, {"lr": 0.1}))
    assert (again.type, again.state, again.params, again.code, again.key) == ("Trainer", "CACHED", {"lr": 0.1}, A, None)
    assert again.reuses == r.run
    assert [(one.label, one.role) for one in again.inputs] == [("taxi:1", "data")]
    assert again.outputs == r.outputs
    third = made.reuse(again)
    assert third.reuses == r.run
    assert made.cached("Trainer", {"data": "taxi:1"}, {"lr": 0.1}) == r.run
    assert [one.id for one in made.artifact("m:1").producers] == [r.id, again.id, third.id]
    with pytest.raises(KeyError), made.run("Trainer") as failed:
        raise KeyError
    with pytest.raises(errors.InvalidArgumentError, match="is FAILED: a run that is COMPLETE can be used again"):
        made.reuse(failed)


def test_the_content_of_a_file_counts_and_not_its_place(memory: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    with memory.run("Trainer") as r:
        r.input(tmp_path / "a", "Dataset", name="taxi")
    assert memory.cached("Trainer", ["taxi"]) == r.run
    with memory.run("Other") as other:
        other.input(tmp_path / "b", "Dataset")
    assert memory.cached("Trainer", [str(tmp_path / "b")]) == r.run


def test_the_key_is_found_by_an_index_that_every_view_has(memory: Store) -> None:
    view = memory.metadata._backend.view  # type: ignore[union-attr]
    plan = (
        "explain query plan select id from execution_valued n where ((n.custom_properties ->> '$.\"evlog.key\"') = ?)"
    )
    [row] = view._connection.execute(plan, ("x",)).fetchall()
    assert "INDEX execution_custom_properties_" in row[3]
    assert view.indexed_properties() == []
    assert {one.key for one in HOT} == {words.KEY, words.NAME}
    wanted = ListOptions(filter_query=f"custom_properties.`{words.KEY}`.string_value = 'x'")
    assert memory.metadata.get_executions(wanted) == []
    assert view._indexes._seconds == {}  # Nothing was searched for.


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def same(one: Any, other: Any) -> bool:
    """Tell whether two parameters are one to the code: 1 and 1.0 are, 1 and True are not, NaN is itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)]
    if all(numbers):
        return one == other or (math.isnan(one) and math.isnan(other))
    return not any(numbers) and type(one) is type(other) and one == other


@given(values, values)
def test_two_keys_are_the_same_where_the_parameters_are(one: Any, other: Any) -> None:
    keys = [key_of("T", None, [], {"x": value}) for value in (one, other)]
    assert (keys[0] == keys[1]) == same(one, other)


def test_keys_tell_types_code_roles_and_inputs_apart() -> None:
    base = ("T", A, [("", "x"), ("r", "y")], {"a": 1})
    assert key_of(*base) == key_of("T", A, [("r", "y"), ("", "x")], {"a": 1})
    others = [
        ("U", *base[1:]),
        ("T", B, *base[2:]),
        ("T", None, *base[2:]),
        ("T", A, [("", "y"), ("r", "x")], {"a": 1}),
        ("T", A, [("", "x")], {"a": 1}),
        ("T", A, [*base[2], ("", "x")], {"a": 1}),
        ("T", A, base[2], {"b": 1}),
    ]
    assert len({key_of(*one) for one in (base, *others)}) == len(others) + 1
    assert key_of("T", None, [], {"x": math.nan}) == key_of("T", None, [], {"x": math.nan})
    assert caching.canonical(-0.0) == 0


def test_what_is_tainted_is_not_reused(made: Store) -> None:
    first = train(made, lr=0.1)
    again = made.reuse(first)
    made.taint("m:1", "label leak")
    for one in (first, again):
        with pytest.raises(errors.InvalidArgumentError, match="run:3 cannot be used again: m:1, .*label leak"):
            made.reuse(one)


def test_a_miss_shows_where_long_values_part_and_is_short(s: Store) -> None:
    long = "You translate from Greek. " * 4_000
    with s.run("Ask", params={"prompt": f"{long}Be brief."}):
        pass
    told = str(s.cached("Ask", params={"prompt": f"{long}Be kind."}))
    assert "Be brief.' in run:1" in told
    assert "Be kind.' here" in told
    assert len(told) < 250
    assert len(str(s.get_run("run:1"))) < 1_000, "the card as text cuts them too"
