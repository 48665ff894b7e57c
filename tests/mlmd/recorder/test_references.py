"""How artifacts and runs are named, and aliases, which move."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from three import before_the_put

import mlmd
from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import aliases, references, words
from mlmd.recorder.values import is_name, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.recorder.store import Store


def make(s: Store, name: str, count: int, type_name: str = "Dataset") -> list[int]:
    """Make so many versions of a name; return their ids."""
    ids = []
    for number in range(count):
        with s.run("Gen") as r:
            ids.append(r.output(f"s3://{name}/{number}", type_name, name=name))
    return [one.id for one in ids]


def test_every_way_to_name_an_artifact(s: Store) -> None:
    first, second = make(s, "taxi", 2)
    s.alias("taxi@prod", "taxi:1")
    message = s.metadata.get_artifacts_by_id([first])[0]
    for reference in (
        "taxi:1",
        "taxi@prod",
        f"art:{first}",
        f"artifact:{first}",
        "s3://taxi/0",
        first,
        message,
        s.artifact("taxi:1"),
    ):
        assert s.artifact(reference).id == first, reference
    for reference in ("taxi", "taxi@latest", "taxi:2", "s3://taxi/1"):
        assert s.artifact(reference).id == second, reference
    assert references.thing_of(s.metadata, "taxi@prod") == ("artifact", first)
    assert references.thing_of(s.metadata, "run:1") == ("execution", 1)
    assert references.thing_of(s.metadata, s.get_run(1)) == ("execution", 1)
    assert references.thing_of(s.metadata, "type:Gen") == ("type", "Gen")


@pytest.mark.parametrize(
    ("reference", "error", "told"),
    [
        ("nix", errors.NotFoundError, "there is no nix: write taxi:7"),
        ("nix:1", errors.NotFoundError, "there is no nix:1"),
        ("taxi:9", errors.NotFoundError, "there is no taxi:9: the newest is taxi:2"),
        ("taxi@nix", errors.NotFoundError, "there is no taxi@nix: taxi has taxi@prod"),
        ("nix@nix", errors.NotFoundError, r"there is no nix@nix: set it with s.alias\('nix@nix', 'nix:1'\)"),
        ("nix@latest", errors.NotFoundError, "there is no version of nix yet"),
        ("art:99", errors.NotFoundError, "there is no art:99"),
        ("art:x", errors.InvalidArgumentError, "write art:ID"),
        ("run:1", errors.InvalidArgumentError, "'run:1' is no artifact: it is run:1"),
        ("s3://nowhere", errors.NotFoundError, "there is no artifact at s3://nowhere: give its type"),
        ("a'b\\`\n", errors.NotFoundError, "there is no a'b"),
        ("x" * 5_000, errors.NotFoundError, "there is no xxx"),
        ("~nobody-of-that-name/m", errors.NotFoundError, "there is no artifact at ~nobody-of-that-name/m: give its"),
        (3.5, errors.InvalidArgumentError, "3.5 names nothing: write taxi:7"),
        (True, errors.InvalidArgumentError, "True names nothing"),
        ("", errors.InvalidArgumentError, "'' names nothing: write taxi:7"),
        ("taxi\udcff", errors.InvalidArgumentError, "names nothing: write taxi:7"),
        (pb.Artifact(), errors.InvalidArgumentError, "names nothing"),
    ],
)
def test_what_names_nothing_is_told_with_what_to_write(
    memory: Store, reference: Any, error: type[Exception], told: str
) -> None:
    make(memory, "taxi", 2)
    memory.alias("taxi@prod", 1)
    with pytest.raises(error, match=told):
        memory.artifact(reference)


def test_runs_are_named_too(s: Store) -> None:
    make(s, "taxi", 1)
    with s.run("A", name="same"), s.run("B", name="same"), s.run("B", name="other") as r:
        pass
    assert s.get_run("other").id == r.id
    with pytest.raises(
        errors.InvalidArgumentError, match="'same' is the name of several: A run:2, B run:3: write which"
    ):
        s.get_run("same")
    for unknown in ("nix", "run:99", 99):
        with pytest.raises(errors.NotFoundError):
            s.get_run(unknown)
    with pytest.raises(errors.InvalidArgumentError, match="is no run: it is art:1"):
        s.get_run("art:1")


def test_names_of_other_clients_are_found_and_two_of_them_are_told_apart(s: Store) -> None:
    types = [s.metadata.put_artifact_type(pb.ArtifactType(name=name)) for name in ("A", "B")]
    names = ("only", "both", "with:3", "odd 'name' \\ `", "x/y@z")
    s.metadata.put_artifacts([pb.Artifact(type_id=types[0], name=name) for name in names])
    s.metadata.put_artifacts([pb.Artifact(type_id=types[1], name="both")])
    for name in set(names) - {"both"}:
        assert s.artifact(name).label == name
    with pytest.raises(errors.InvalidArgumentError, match="'both' is the name of several: A art:2, B art:6"):
        s.artifact("both")
    assert s.artifact("both", "B").id == 6


def test_the_newest_version_that_may_be_used_is_meant(s: Store) -> None:
    make(s, "taxi", 30)
    assert s.artifact("taxi").version == 30
    for number, change in ((30, "state"), (29, "tainted"), *((n, "state") for n in range(3, 29))):
        message = s.artifact(f"taxi:{number}").message
        if change == "state":
            message.state = pb.Artifact.DELETED
        else:
            message.custom_properties[words.TAINTED].string_value = "label leak"
        s.metadata.put_artifacts([message])
    assert s.artifact("taxi").version == 2
    assert s.artifact("taxi:29").tainted == "label leak"
    with s.run("Gen") as r:
        assert r.output("s3://taxi/new", name="taxi").label == "taxi:31"


def test_versions_that_others_make_meanwhile_are_counted(place: Path) -> None:
    labels = []
    with mlmd.open(place) as one, mlmd.open(place) as other:
        for number, s in enumerate([one, one, other, other, one, other, one, one]):
            with s.run("Gen") as r:
                labels.append(r.output(f"s3://d/{number}", "Dataset", name="d").label)
    assert labels == [f"d:{number}" for number in range(1, 9)]


def test_a_path_is_a_name_of_what_is_there(s: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some data.csv").write_text("x")
    with s.run("Gen") as r:
        r.output("some data.csv", "Dataset")
    uri = (tmp_path / "some data.csv").as_uri()
    assert s.artifact("some data.csv").uri == s.artifact(tmp_path / "some data.csv").uri == s.artifact(uri).uri == uri
    with open(s.artifact(uri)) as file:
        assert file.read() == "x"
    make(s, "far", 1)
    with pytest.raises(errors.FailedPreconditionError, match="far:1 lies at s3://far/0"):
        _ = s.artifact("far").path


def test_an_alias_moves_and_its_past_answers(s: Store) -> None:
    make(s, "taxi-model", 3, "Model")
    assert len(s.aliases()) == 0
    s.alias("taxi-model@prod", "taxi-model:1")
    time.sleep(0.005)
    then = datetime.now(UTC)
    time.sleep(0.005)
    moved = s.alias("taxi-model@prod", "taxi-model:2")
    assert moved is not None
    assert moved.label == "taxi-model:2"
    assert s.at(then).artifact("taxi-model@prod").label == "taxi-model:1"
    assert s.artifact("taxi-model:2").aliases == ["taxi-model@prod"]
    assert s.artifact("taxi-model:1").aliases == []
    s.alias("taxi-model@dev", 3)
    assert [(one.name, one.artifact_id) for one in aliases.aliases_of(s.metadata)] == [
        ("taxi-model@dev", 3),
        ("taxi-model@prod", 2),
    ]
    assert s.alias("taxi-model@prod", None) is None
    with pytest.raises(errors.NotFoundError, match="there is no taxi-model@prod: taxi-model has taxi-model@dev"):
        s.artifact("taxi-model@prod")
    with pytest.raises(errors.NotFoundError, match="there is no taxi-model@prod: taxi-model has taxi-model@dev"):
        s.alias("taxi-model@prod", None)
    s.alias("taxi-model@prod", "taxi-model:1")
    assert s.artifact("taxi-model@prod").label == "taxi-model:1"
    assert [row[:3] for row in s.aliases("taxi-model").rows] == [
        ("taxi-model@dev", "taxi-model:3", "Model"),
        ("taxi-model@prod", "taxi-model:1", "Model"),
    ]


def test_what_others_put_of_an_alias_right_before_it_moves_stays(s: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make(s, "m", 2, "Model")
    s.alias("m@prod", "m:1")

    def note() -> None:
        context = pb.Context(id=1, name="m@prod")
        context.custom_properties["region"].string_value = "eu"
        s.metadata.put_contexts([context], ["custom_properties.region"])

    before_the_put(s.metadata, monkeypatch, "PutContexts", note)
    s.alias("m@prod", "m:2")
    [context] = s.metadata.get_contexts_by_id([1])
    assert context.custom_properties["region"].string_value == "eu"
    assert s.artifact("m@prod").label == "m:2"
    s.alias("m@prod", None)
    assert s.metadata.get_contexts_by_id([1])[0].custom_properties["region"].string_value == "eu"
    assert len(s.aliases()) == 0


def test_the_past_of_an_alias_says_who_moved_it_and_why(memory: Store) -> None:
    make(memory, "m", 2, "Model")
    for reference, reason in (("m:1", "first"), ("m:2", "better"), (None, "broken")):
        with memory.acting(actor="ana", reason=reason):
            memory.alias("m@prod", reference)
    told = [(row[1], row[2], row[3]) for row in memory.alias_history("m@prod").rows]
    assert told == [(None, "ana", "broken"), ("m:2", "ana", "better"), ("m:1", "ana", "first")]
    with pytest.raises(errors.NotFoundError, match="there never was a m@dev"):
        memory.alias_history("m@dev")


@pytest.mark.parametrize(
    ("alias", "told"),
    [
        ("prod", "is no alias: write NAME@ALIAS"),
        ("a@b@c", "is no alias"),
        ("@prod", "the name: '' is none"),
        ("taxi@", "the alias: '' is none"),
        ("taxi@a b/c", "the alias: 'a b/c' is none"),
        ("taxi@latest", "follows from the versions themselves"),
        ("other@prod", "stands for versions of other, and art:1 is one of taxi: taxi@prod"),
        (7, "7 is no alias"),
    ],
)
def test_what_is_no_alias_is_refused(memory: Store, alias: Any, told: str) -> None:
    make(memory, "taxi", 1)
    before = memory.metadata.log.end
    with pytest.raises(errors.InvalidArgumentError, match=told):
        memory.alias(alias, "taxi:1")
    assert memory.metadata.log.end == before


def test_aliases_of_one_name_are_not_those_of_another(memory: Store) -> None:
    for name in ("a_b", "axb", "a"):
        make(memory, name, 1)
        memory.alias(f"{name}@prod", f"{name}:1")
    assert [one.name for one in aliases.aliases_of(memory.metadata, "a_b")] == ["a_b@prod"]
    assert [one.name for one in aliases.aliases_of(memory.metadata, "a")] == ["a@prod"]


def test_an_alias_that_several_make_at_once_is_one(s: Store) -> None:
    make(s, "taxi", 4)
    failed: list[BaseException] = []

    def move(number: int) -> None:
        try:
            s.alias("taxi@prod", number)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    threads = [threading.Thread(target=move, args=(number,)) for number in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(aliases.aliases_of(s.metadata, "taxi")) == 1


@given(st.text(max_size=30))
def test_any_text_is_a_literal_of_a_filter_and_a_name_or_none(text: str) -> None:
    assert is_name(text) == (not any(one in text for one in "/@:\\'\"`\n") and is_name(text))
    from mlmd.filters.query import filter_query

    if "\0" not in text:
        filter_query("artifact", f"name = {quoted(text)}")
