"""Random histories of runs, beside a model in dicts: versions, aliases, what is found again; also as of every moment before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlmd
from mlmd import errors

if TYPE_CHECKING:
    from mlmd.recorder.store import Store

NAMES = st.sampled_from(["a", "b"])
CONTENTS = st.sampled_from(["x", "y", "z"])
STEPS = st.one_of(
    st.tuples(
        st.just("run"),
        st.lists(st.tuples(NAMES, CONTENTS), max_size=3),
        st.lists(NAMES, max_size=2),
        st.integers(0, 1),
        st.booleans(),
    ),
    st.tuples(st.just("alias"), NAMES, st.sampled_from(["prod", "dev"]), st.integers(1, 3)),
    st.tuples(st.just("cached"), st.lists(NAMES, max_size=2), st.integers(0, 1)),
    st.tuples(st.just("reuse")),
)


class Model:
    """What the store should say: the contents of each name in the order of their versions, aliases, and the completed runs."""

    def __init__(self) -> None:
        self.versions: dict[str, list[str]] = {"a": [], "b": []}
        self.abandoned: set[tuple[str, int]] = set()
        self.aliases: dict[str, int] = {}
        self.runs: list[tuple[int, frozenset[str], int]] = []  # (id, inputs by label, lr)

    def latest(self, name: str) -> str | None:
        usable = [n for n in range(1, len(self.versions[name]) + 1) if (name, n) not in self.abandoned]
        return f"{name}:{usable[-1]}" if usable else None

    def state(self) -> Any:
        return (
            {name: len(contents) for name, contents in self.versions.items()},
            dict(self.aliases),
            {name: self.latest(name) for name in self.versions},
        )

    def output(self, name: str, content: str, *, fails: bool) -> str:
        contents = self.versions[name]
        if content not in contents:
            contents.append(content)
            if fails:
                self.abandoned.add((name, len(contents)))
        elif not fails:
            self.abandoned.discard((name, contents.index(content) + 1))
        return f"{name}:{contents.index(content) + 1}"


def state_of(s: Store) -> Any:
    aliases = {row[0]: int(row[1].partition(":")[2]) for row in s.aliases().rows}
    return {name: len(s.versions(name)) for name in "ab"}, aliases, {name: latest(s, name) for name in "ab"}


def latest(s: Store, name: str) -> str | None:
    try:
        return s.artifact(name).label
    except errors.NotFoundError:
        return None


def run(s: Store, model: Model, step: Any) -> None:
    _, outputs, inputs, lr, fails = step
    read = [label for name in inputs if (label := model.latest(name)) is not None]
    try:
        with s.run("Trainer", params={"lr": lr}) as r:
            assert [r.input(label).label for label in read] == read
            made = [r.output(f"s3://{name}/{content}", "T", name=name).label for name, content in outputs]
            if fails:
                raise KeyError
    except KeyError:
        assert r.state == "FAILED"
    else:
        model.runs.append((r.id, frozenset(read), lr))
    assert made == [model.output(name, content, fails=fails) for name, content in outputs]
    assert [one.label for one in r.inputs] == list(dict.fromkeys(read))
    assert {one.label for one in r.outputs} == set(made)


def check(s: Store, model: Model, step: Any) -> None:
    match step:
        case ("run", *_):
            run(s, model, step)
        case ("alias", name, alias, number):
            if number <= len(model.versions[name]):
                s.alias(f"{name}@{alias}", f"{name}:{number}")
                model.aliases[f"{name}@{alias}"] = number
                assert s.artifact(f"{name}@{alias}").version == number
            else:
                with pytest.raises(errors.NotFoundError):
                    s.alias(f"{name}@{alias}", f"{name}:{number}")
        case ("cached", inputs, lr):
            read = [label for name in inputs if (label := model.latest(name)) is not None]
            found = s.cached("Trainer", list(dict.fromkeys(read)), {"lr": lr})
            same = [one for one in model.runs if one[1:] == (frozenset(read), lr)]
            usable = [one for one in same if all(two.state == "LIVE" for two in s.get_run(one[0]).outputs)]
            assert bool(found) == bool(usable)
            assert not usable or found.id == usable[-1][0]  # type: ignore[union-attr]
        case ("reuse",):
            if model.runs:
                assert s.reuse(model.runs[-1][0]).reuses.id == model.runs[-1][0]  # type: ignore[union-attr]


def try_history(steps: list[Any]) -> None:
    model = Model()
    with mlmd.open(":memory:") as s:
        moments = []
        for step in steps:
            check(s, model, step)
            assert state_of(s) == model.state()
            moments.append((s.metadata.log.end, model.state()))
        for end, expected in moments:
            assert state_of(s.at(end)) == expected


@given(st.lists(STEPS, max_size=8))
def test_any_history_is_as_the_model_says_now_and_at_every_moment_before(steps: list[Any]) -> None:
    try_history(steps)


@pytest.mark.deep
@settings(max_examples=2_000)
@given(st.lists(STEPS, max_size=30))
def test_any_long_history_is_as_the_model_says(steps: list[Any]) -> None:
    try_history(steps)
