"""A function as a step: each call a run, a call that was made before not made again."""

import asyncio
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlmd
from mlmd import errors
from mlmd.recorder.store import Store


@pytest.fixture(autouse=True)
def data(s: Store) -> Iterator[None]:
    for number in (1, 2):
        with s.run("Gen") as r:
            r.output(f"s3://taxi/{number}", "Dataset", name="taxi")
    return


CALLS: deque[Any] = deque()  # A list would be a constant of the code that names it.


def test_a_call_is_a_run_and_the_same_call_is_made_once(s: Store, capsys: pytest.CaptureFixture[str]) -> None:
    CALLS.clear()

    @s.step(cache="why", tags={"team": "fares"})
    def train(data: mlmd.In["Dataset"], lr: float = 0.1, *, opt: str = "adam") -> mlmd.Out["Model", "m"]:
        CALLS.append((data.uri, lr, opt))
        mlmd.this_run().log(acc=lr)
        return f"s3://m/{lr}"

    first, second = train("taxi:1"), train("taxi:1", 0.1, opt="adam")
    third = train("taxi:1", lr=0.2)
    assert [first.label, second.label, third.label] == ["m:1", "m:1", "m:2"]
    assert list(CALLS) == [("s3://taxi/1", 0.1, "adam"), ("s3://taxi/1", 0.2, "adam")]
    runs = [s.get_run(number) for number in (3, 4, 5)]
    assert [(run.type, run.state, run.metrics, run.tags) for run in runs] == [
        ("train", "COMPLETE", {"acc": 0.1}, {"team": "fares"}),
        ("train", "CACHED", {}, {"team": "fares"}),
        ("train", "COMPLETE", {"acc": 0.2}, {"team": "fares"}),
    ]
    assert [(one.label, one.role) for one in runs[1].inputs] == [("taxi:1", "data")]
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "train runs: no train has completed yet"
    assert told[1].startswith("train cached from run:3 in ")
    assert told[2] == "train runs: params.lr: 0.1 in run:3, 0.2 here"
    assert train.__name__ == "train"


def test_a_new_input_version_or_new_code_is_another_call(s: Store) -> None:
    def make(rate: int) -> Any:
        @s.step(cache=True, type="Trainer")
        def train(data: mlmd.In["Dataset"]) -> mlmd.Out["Model"]:
            return f"s3://m/{data.version}/{rate}"

        return train

    assert make(1)("taxi:1").id == make(1)("taxi:1").id
    assert make(1)("taxi:1").uri == "s3://m/1/1"
    assert make(1)("taxi").uri == "s3://m/2/1"
    assert make(2)("taxi:1").uri == "s3://m/1/2"
    assert {one.type for one in s.metadata.get_executions()} == {"Gen", "Trainer"}


def test_an_async_step(s: Store) -> None:
    CALLS.clear()

    @s.step(cache=True)
    async def evaluate(
        data: mlmd.In["Dataset"], base: mlmd.In["Model"] = None
    ) -> tuple[mlmd.Out["Metrics"], mlmd.Out["Plot"]]:
        CALLS.append(base)
        await asyncio.sleep(0)
        mlmd.this_run().log(acc=1)
        return f"s3://x/{data.version}", f"s3://y/{data.version}"

    async def several() -> list[Any]:
        return [await evaluate("taxi:1"), *await asyncio.gather(evaluate("taxi:1"), evaluate("taxi:2"))]

    found = asyncio.run(several())
    assert [[one.uri for one in pair] for pair in found] == [
        ["s3://x/1", "s3://y/1"],
        ["s3://x/1", "s3://y/1"],
        ["s3://x/2", "s3://y/2"],
    ]
    assert list(CALLS) == [None, None]
    assert s.get_run(3).metrics == {"acc": 1.0}


def test_several_inputs_come_as_a_list(s: Store) -> None:
    @s.step
    def merge(parts: mlmd.In["Dataset"], *rest: int, **more: str) -> int:
        return sum(one.version for one in parts) + sum(rest) + len(more)

    assert merge(["taxi:1", "taxi:2"], 10, a="b") == 14
    assert [one.role for one in s.get_run(3).inputs] == ["parts[0]", "parts[1]"]
    assert s.get_run(3).params == {"rest": [10], "more": {"a": "b"}}


def test_a_step_that_fails_is_a_failed_run_and_is_made_again(s: Store) -> None:
    CALLS.clear()

    @s.step(cache=True)
    def train(data: mlmd.In["Dataset"]) -> mlmd.Out["Model"]:
        CALLS.append(data)
        if len(CALLS) == 1:
            raise ValueError("too hot")
        return "s3://m"

    with pytest.raises(ValueError, match="too hot"):
        train("taxi")
    assert train("taxi").uri == "s3://m"
    assert [s.get_run(one).state for one in (3, 4)] == ["FAILED", "COMPLETE"]


def test_what_a_step_made_by_itself_is_what_it_returns(s: Store, tmp_path: Path) -> None:
    @s.step(cache=True)
    def train(data: mlmd.In["Dataset"], place: str) -> mlmd.Out["Model"]:
        (tmp_path / place).write_text("weights")
        return mlmd.this_run().output(tmp_path / place, "Model", name="m", acc=0.9)

    assert (train("taxi", "m").properties, train("taxi", "m").label) == ({"acc": 0.9}, "m:1")
    assert train("taxi", "other").label == "m:1"  # The same weights.


def test_a_file_that_is_no_artifact_yet_becomes_one(s: Store, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("1")

    @s.step(cache=True)
    def train(data: mlmd.In["Dataset", "fresh"]) -> mlmd.Out["Model"]:
        return f"s3://m/{data.path.read_text()}"

    assert train(tmp_path / "new.csv").uri == train(tmp_path / "new.csv").uri == "s3://m/1"
    (tmp_path / "new.csv").write_text("2")
    assert train(tmp_path / "new.csv").uri == "s3://m/2"
    assert [one.label for one in s.versions("fresh")] == ["fresh:2", "fresh:1"]
    assert s.get_run(4).state == "CACHED"


def test_wrong_steps_are_refused_where_they_are_made(s: Store) -> None:
    def plain(x: int) -> int:
        return x

    with pytest.raises(errors.InvalidArgumentError, match="plain: what a step returns is found again as an artifact"):
        s.step(plain, cache=True)
    with pytest.raises(errors.InvalidArgumentError, match="cache: 'yes' is none of"):
        s.step(plain, cache="yes")
    with pytest.raises(errors.InvalidArgumentError, match="is no function"):
        s.step(7)

    def mixed() -> tuple[mlmd.Out["Model"], int]: ...

    with pytest.raises(errors.InvalidArgumentError, match="all that a tuple holds"):
        s.step(mixed)
    with pytest.raises(errors.InvalidArgumentError, match=r"In\[...\]: an empty text"):
        _ = mlmd.In[""]
    with pytest.raises(errors.FailedPreconditionError, match="there is no run here"):
        mlmd.this_run()


LATER = """
from __future__ import annotations
from typing import TYPE_CHECKING
import mlmd
if TYPE_CHECKING:
    import somewhere
class Model: ...
def train(data: mlmd.In[Dataset], x: somewhere.Thing, y: Unknown = 1) -> tuple[mlmd.Out[Model], mlmd.Out["Plot"]]:
    return "s3://m", "s3://p"
def wrong(data: mlmd.In[1 / 0]): ...
"""


def test_annotations_that_are_kept_as_text_are_read_with_or_without_quotes(s: Store) -> None:
    space: dict[str, Any] = {}
    exec(LATER, space)  # What ruff makes of In["Dataset"], because it takes it for a name.
    model, plot = s.step(space["train"])("taxi", 1)
    assert (model.type, plot.type, s.get_run(3).inputs[0].type) == ("Model", "Plot", "Dataset")
    with pytest.raises(errors.InvalidArgumentError, match="wrong: the annotation mlmd.In.* cannot be read: division"):
        s.step(space["wrong"])


def test_wrong_calls_and_returns_are_refused(s: Store) -> None:
    @s.step(cache=True)
    def train(data: mlmd.In["Dataset"], x: Any = 1) -> mlmd.Out["Model"]:
        return x

    with pytest.raises(TypeError, match="missing a required argument: 'data'"):
        train()
    with pytest.raises(errors.NotFoundError, match="there is no nix"):
        train("nix")
    with pytest.raises(errors.InvalidArgumentError, match="x: b'' |x: bytes"):
        train("taxi", b"")
    with pytest.raises(errors.InvalidArgumentError, match="train returned None"):
        train("taxi", None)
    assert s.get_run(3).state == "FAILED"


def test_what_a_step_notes_besides_is_not_what_it_returns(s: Store) -> None:
    @s.step(cache=True)
    def train() -> tuple[mlmd.Out["Model"], mlmd.Out["Model"]]:
        mlmd.this_run().output("s3://log", "Log")
        mlmd.this_run().output("s3://second", "Model")
        return "s3://first", "s3://second"

    first, second = train(), train()
    assert [one.uri for one in first] == [one.uri for one in second] == ["s3://first", "s3://second"]


def test_a_step_that_returns_one_thing_twice_is_made_again(s: Store) -> None:
    @s.step(cache=True)
    def train() -> tuple[mlmd.Out["Model"], mlmd.Out["Model"]]:
        return "s3://m", "s3://m"

    assert [one.uri for one in train()] == [one.uri for one in train()] == ["s3://m", "s3://m"]


def test_the_order_and_number_of_several_inputs_count(s: Store) -> None:
    @s.step(cache=True)
    def join(parts: mlmd.In["Dataset"]) -> mlmd.Out["Dataset"]:
        return f"s3://{'+'.join(one.label for one in parts)}"  # type: ignore[attr-defined] # A list, as called.

    calls = (["taxi:1", "taxi:2"], ["taxi:2", "taxi:1"], ["taxi:1", "taxi:1"], ["taxi:1"])
    for _ in range(2):
        assert [join(one).uri for one in calls] == [f"s3://{'+'.join(one)}" for one in calls]
    assert [run.state for run in s.runs(types="join", sort="id")] == ["COMPLETE"] * 4 + ["CACHED"] * 4
