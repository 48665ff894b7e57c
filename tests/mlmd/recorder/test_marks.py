"""Marks: names for moments, wherever a moment is asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import stores
from three import FORMS, artifact, artifact_type, store_in

import mlmd
from mlmd import errors, moment
from mlmd.recorder.marks import mark, marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd import MetadataStore


@pytest.fixture(params=FORMS)
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[MetadataStore]:
    with store_in(request.param, tmp_path / "store") as store:
        yield store


def put(store: MetadataStore, name: str) -> None:
    store.put_artifacts([artifact(artifact_type(store, "Data"), name=name)])


def names(store: MetadataStore) -> list[str]:
    return [one.name for one in store.get_artifacts()]


def test_a_mark_names_now_and_stays_there(store: MetadataStore) -> None:
    put(store, "a")
    made = mark(store, "release-4")
    put(store, "b")
    assert names(store.as_of("mark:release-4")) == ["a"]
    assert names(store.as_of(moment.Mark("release-4"))) == ["a"]
    assert names(store.as_of(" MARK:release-4 ")) == ["a"]
    assert [one.name for one in marks(store)] == ["release-4"] == [made.name]
    assert marks(store.as_of("mark:release-4")) == []


def test_a_mark_moves_when_it_is_put_again(store: MetadataStore) -> None:
    put(store, "a")
    mark(store, "nightly")
    put(store, "b")
    mark(store, "nightly")
    put(store, "c")
    assert names(store.as_of("mark:nightly")) == ["a", "b"]
    mark(store, "nightly", 0)
    assert names(store.as_of("mark:nightly")) == []
    mark(store, "nightly")
    assert names(store.as_of("mark:nightly")) == ["a", "b", "c"]


def test_a_mark_may_name_an_offset_or_another_mark(store: MetadataStore) -> None:
    put(store, "a")
    first = mark(store, "first")
    put(store, "b")
    end = store.log.end if isinstance(store._backend, mlmd.store.Engine) else 99
    if end != 99:
        mark(store, "again", "mark:first")
        assert names(store.as_of("mark:again")) == ["a"]
        assert first.offset == 3
    mark(store, "third", "#3")
    assert names(store.as_of("mark:third")) == ["a"]


@pytest.mark.parametrize(
    ("name", "when", "error", "said"),
    [
        ("", "now", errors.InvalidArgumentError, "the mark"),
        ("a:b", "now", errors.InvalidArgumentError, "the mark"),
        ("a\n", "now", errors.InvalidArgumentError, "the mark"),
        (None, "now", errors.InvalidArgumentError, "the mark"),
        ("a", "never", errors.InvalidArgumentError, "no moment"),
        ("a", "#999", errors.OutOfRangeError, "999"),
        ("a", 1.5, errors.InvalidArgumentError, "no moment"),
    ],
)
def test_what_is_no_mark_is_refused(store: MetadataStore, name: Any, when: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        mark(store, name, when)
    assert marks(store) == []


def test_a_mark_that_is_not_there_says_which_are(store: MetadataStore) -> None:
    with pytest.raises(errors.NotFoundError, match="no mark 'x': there are none"):
        store.as_of("mark:x").get_artifacts()
    mark(store, "release-4")
    with pytest.raises(errors.NotFoundError, match="no mark 'é%/': there are mark:release-4"):
        store.as_of("mark:é%/").get_artifacts()


def test_a_server_cannot_mark_a_time(tmp_path: Any) -> None:
    with (
        store_in("server", tmp_path / "store") as store,
        pytest.raises(errors.UnimplementedError, match="mark now, or an offset"),
    ):
        mark(store, "a", "yesterday")


def test_the_past_takes_no_mark(store: MetadataStore) -> None:
    with pytest.raises(errors.FailedPreconditionError):
        mark(store.as_of("now"), "a")


def test_a_diff_goes_from_mark_to_mark(tmp_path: Any) -> None:
    with store_in("folder", tmp_path / "store") as store:
        put(store, "a")
        mark(store, "one")
        put(store, "b")
        mark(store, "two")
        put(store, "c")
        added = [
            one.after.name
            for one in store.diff("mark:one", "mark:two").differences
            if type(one.after).__name__ == "ArtifactPut"
        ]
        assert added == ["b"]


def test_sql_a_snapshot_and_a_follower_begin_at_a_mark(tmp_path: Any) -> None:
    place = tmp_path / "store"
    with store_in("folder", place) as store:
        put(store, "a")
        mark(store, "one")
        put(store, "b")
        assert mlmd.sql(store, "select name from artifacts", at="mark:one").fetchall() == [("a",)]
    told = stores.run("-s", place, "sql", "select name from artifacts", "--at", "mark:one", "--json")
    assert [row["name"] for row in json.loads(told.stdout)] == ["a"]
    taken = stores.run("-s", place, "snapshot", tmp_path / "lake", "--at", "mark:one", "--json")
    assert json.loads(taken.stdout)["records"] == 3
    assert stores.run("-s", place, "backup", tmp_path / "copy").exit_code == 0
    refused = stores.run("restore", tmp_path / "copy", tmp_path / "new", "--at", "mark:one")
    assert refused.exit_code == 2
    assert "a backup is a log alone" in refused.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", ["mark:", "mark:\x00", "mark: "])
def test_an_empty_mark_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="names no mark"):
        moment.parse(text)


def test_a_mark_goes_over_the_wire_as_it_is() -> None:
    for name in ("release-4", "é %/", "a b"):
        assert moment.from_the_wire(moment.on_the_wire(moment.Mark(name))) == moment.Mark(name)
        assert moment.on_the_wire(moment.Mark(name)).isascii()


@pytest.mark.parametrize(
    "words",
    [
        ["artifacts", "--at", "mark:one"],
        ["log", "--until", "mark:one"],
        ["log", "--since", "mark:one"],
        ["diff", "mark:one"],
        ["blame", "art:1", "--at", "mark:one"],
    ],
)
def test_the_command_takes_marks(tmp_path: Any, words: list[str]) -> None:
    place = tmp_path / "store"
    with store_in("folder", place) as store:
        put(store, "a")
        mark(store, "one")
        put(store, "b")
    found = stores.run("-s", place, *words)
    assert found.exit_code == 0, found.output
    if words[0] == "artifacts":
        assert " a " in found.output
        assert " b " not in found.output
    missing = stores.run("-s", place, *[word.replace("one", "none") for word in words])
    assert missing.exit_code == 1
    assert "there is no mark 'none'" in missing.output
