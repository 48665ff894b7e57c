"""`evlog diff`, `evlog blame` and `evlog log OBJECT`, as a person and as a program use them."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

import mlmd
from mlmd import MetadataStore
from mlmd.changes import field_in_words
from mlmd.cli import cli
from mlmd.demo import record_workflow
from mlmd.proto import metadata_store_pb2 as pb
from replay.things import FieldChange

if TYPE_CHECKING:
    from pathlib import Path

ESCAPE = "evil\x1b]0;title\x07\x1b[31m\x9b\n"


def config_of(place: Path) -> pb.ConnectionConfig:
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow of the guide, records #0 to #12; then the model is relabelled, moved, moved back and put again."""
    place = tmp_path_factory.mktemp("hindsight") / "store"
    store = MetadataStore(config_of(place))
    ids = record_workflow(store)
    (model,) = store.get_artifacts_by_id([ids.model])
    model.state, model.properties["version"].int_value = pb.Artifact.LIVE, 2  # type: ignore[assignment]
    model.custom_properties[ESCAPE].string_value = ESCAPE
    store.put_artifacts([model])  # 13
    (data,) = store.get_artifacts_by_id([ids.data])
    data.uri = "elsewhere"
    store.put_artifacts([data])  # 14
    data.uri = "path/to/data"
    store.put_artifacts([data])  # 15
    (context,) = store.get_contexts_by_id([ids.experiment])
    (child,) = store.put_contexts([pb.Context(type_id=context.type_id, name="exp2")])  # 16
    store.put_parent_contexts([pb.ParentContext(parent_id=context.id, child_id=child)])  # 17
    store.close()
    return place


def run(place: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-s", str(place), *words], prog_name="evlog")


def data(place: Path, *words: str) -> Any:
    result = run(place, "-o", "json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def things(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["what"], row["thing"]) for row in rows]


def test_diff_tells_the_net_effect_between_two_moments(place: Path) -> None:
    rows = data(place, "diff", "#9", "#18")
    assert things(rows) == [
        ("added", "type:Experiment"),
        ("changed", "art:2"),
        ("changed", "run:1"),
        ("added", "ctx:1"),
        ("added", "ctx:2"),
        ("linked", "art:2 in ctx:1"),
        ("linked", "run:1 in ctx:1"),
        ("linked", "ctx:2 in ctx:1"),
    ]
    model = rows[1]
    assert (model["kind"], model["type"], model["name"], model["offset"]) == ("artifact", "SavedModel", None, 13)
    assert model["fields"] == [
        {"field": "properties.version", "old": 1, "new": 2},
        {"field": f"custom_properties.{ESCAPE}", "old": None, "new": ESCAPE},
        {"field": "state", "old": None, "new": "LIVE"},
    ]
    assert {"time", "actor", "auth", "application", "host", "api", "reason", "transaction"} <= model.keys()


def test_what_was_changed_and_changed_back_is_told_as_no_difference(place: Path) -> None:
    assert data(place, "diff", "#14", "#16") == []
    told = run(place, "diff", "#14", "#16").stderr
    assert "0 added, 0 changed, 0 linked, 1 put again and as before, by the records #14 to #15" in told
    assert "by record #14, " in run(place, "diff", "#14", "#15").stderr
    assert "no record was put" in run(place, "diff", "#14", "#14").stderr
    assert run(place, "-q", "diff", "#14", "#16").stderr == ""


@pytest.mark.parametrize(
    ("words", "start", "stop"),
    [
        (["diff", "#9", "#13"], 9, 13),
        (["diff", "#13", "#9"], 9, 13),
        (["--at", "#9", "diff"], 9, 18),
        (["--at", "#9", "diff", "now"], 9, 18),
        (["diff", "#9", "--at", "#13"], 9, 13),
        (["--at", "now", "diff", "#9"], 9, 18),
        (["diff"], 0, 18),
        (["diff", "2020-01-01", "2h"], 0, 0),
    ],
)
def test_the_moments_are_from_to_or_at(place: Path, words: list[str], start: int, stop: int) -> None:
    assert data(place, *words) == data(place, "diff", f"#{start}", f"#{stop}")


def test_types_narrow_a_diff(place: Path) -> None:
    assert things(data(place, "diff", "#1", "--type", "Trainer", "--type", "DataSet")) == [
        ("added", "type:DataSet"),
        ("added", "type:Trainer"),
        ("added", "art:1"),
        ("added", "run:1"),
        ("linked", "run:1 ◀ art:1"),
        ("linked", "run:1 ▶ art:2"),
        ("linked", "run:1 in ctx:1"),
    ]


def test_a_table_of_differences_has_a_line_a_field(place: Path) -> None:
    lines = run(place, "diff", "#13", "#14").stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("~  art:2  SavedModel") for line in lines[1:])
    assert "properties.version 1 → 2" in lines[1]
    assert "state unset → LIVE" in lines[3]
    added = run(place, "diff", "#16", "#18").stdout.splitlines()
    assert [line.split()[0] for line in added[1:]] == ["+", "+"]


def test_the_log_is_an_audit_trail_by_type_call_actor_and_reason(place: Path, tmp_path: Path) -> None:
    def offsets(*words: str, of: Path = place) -> list[int]:
        return [row["offset"] for row in data(of, "log", "-n", "0", "--reverse", *words)]

    assert offsets("--type", "Trainer") == [3, 5, 6, 8, 9, 12], "the type, its run, and what links the run"
    assert offsets("--type", "DataSet") == [1, 4, 6, 14, 15]
    assert offsets("--type", "DataSet", "--type", "Trainer") == [1, 3, 4, 5, 6, 8, 9, 12, 14, 15]
    assert offsets("--type", "DataSet", "--api", "PutArtifacts") == [4, 14, 15]
    assert offsets("--api", "Nothing") == []
    assert offsets("art:1", "--api", "PutArtifacts") == [4, 14, 15]
    newest = data(place, "log", "-n", "1", "--type", "DataSet")
    assert [row["offset"] for row in newest] == [15]
    store = MetadataStore(config_of(tmp_path / "other"))
    with store.acting(actor="ana", reason="Ticket 81: retrained"):
        store.put_artifact_type(pb.ArtifactType(name="a"))
    with store.acting(actor="bob", reason="ticket 82"):
        store.put_artifact_type(pb.ArtifactType(name="b"))
    store.close()
    other = tmp_path / "other"
    assert offsets("--by", "ana", of=other) == [1]
    assert offsets("--reason", "ticket 8", of=other) == [1, 2]
    assert offsets("--reason", "RETRAINED", of=other) == [1]
    assert offsets("--reason", "ticket", "--by", "bob", of=other) == [2]
    assert offsets("type:b", "--reason", "81", of=other) == []


def test_the_log_of_a_thing_tells_what_each_record_changed(place: Path) -> None:
    rows = data(place, "log", "art:2")
    assert [row["offset"] for row in rows] == [13, 12, 8, 7]
    assert [one["what"] for row in rows for one in row["differences"]] == ["changed", "linked", "linked", "added"]
    assert rows[0]["differences"][0]["fields"][0] == {"field": "properties.version", "old": 1, "new": 2}
    assert rows[0]["changes"][0]["properties"] == {"version": 2, "name": "MNIST-v1"}, "the complete state is there too"
    assert data(place, "log", "art:2", "--reverse") == rows[::-1]
    assert data(place, "log", "art:2", "-n", "2") == rows[:2]
    assert data(place, "log", "art:2", "--since", "#8", "--until", "#13") == rows[1:3]
    assert data(place, "log", "art:2", "--by", "nobody") == []
    assert data(place, "--at", "#8", "log", "art:2") == rows[3:]
    table = run(place, "log", "art:2").stdout
    assert "properties.version 1 → 2" in table
    assert "added art:2" in table
    assert [row["offset"] for row in data(place, "log", "type:Trainer")] == [3]


def test_what_one_record_did_is_told_in_its_order_in_either_direction(place: Path) -> None:
    rows = data(place, "log", "ctx:1")
    assert things(rows[1]["differences"]) == [("linked", "art:2 in ctx:1"), ("linked", "run:1 in ctx:1")]
    assert data(place, "log", "ctx:1", "--reverse") == rows[::-1]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (1, 1.0, "x 1 → 1.0"),
        (1, "1", 'x 1 → "1"'),
        (True, "yes", 'x true → "yes"'),
        ("", None, 'x "" → unset'),
        (None, math.nan, "x unset → nan"),
        ("a" * 99, "b" * 99, f"x {'a' * 39}… → {'b' * 39}…"),
    ],
)
def test_words_do_not_hide_what_differs(old: Any, new: Any, told: str) -> None:
    assert field_in_words(FieldChange("x", old, new)) == told


def test_a_link_between_contexts_says_which_is_in_which(place: Path) -> None:
    assert "ctx:2 in ctx:1" in run(place, "log", "-n", "1").stdout
    assert things(data(place, "log", "ctx:1", "-n", "1")[0]["differences"]) == [("linked", "ctx:2 in ctx:1")]


def test_blame_tells_for_each_field_the_record_that_set_it(place: Path) -> None:
    rows = data(place, "blame", "art:2")
    assert {row["field"]: (row["value"], row["offset"]) for row in rows} == {
        "properties.name": ("MNIST-v1", 7),
        "properties.version": (2, 13),
        f"custom_properties.{ESCAPE}": (ESCAPE, 13),
        "uri": ("path/to/model/file", 7),
        "state": ("LIVE", 13),
    }
    then = data(place, "--at", "#13", "blame", "art:2")
    assert {row["field"]: row["offset"] for row in then} == {"properties.name": 7, "properties.version": 7, "uri": 7}
    assert {row["offset"] for row in data(place, "blame", "art:1")} == {4, 15}
    assert [row["field"] for row in data(place, "blame", "type:Trainer")] == ["name", "properties.state"]


def test_a_thing_is_named_as_it_is_called_there(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with mlmd.open(place) as store:
        for day in (1, 2):
            with store.run("Ingest") as made:
                made.output(f"s3://taxi/{day}", "Dataset", name="taxi")
            store.alias("taxi@prod", f"taxi:{day}")
    one, two = data(place, "log", "art:1"), data(place, "log", "art:2")
    assert one != two
    for name, its in (("taxi:1", one), ("s3://taxi/1", one), ("taxi", two), ("taxi@prod", two), ("taxi@latest", two)):
        assert data(place, "log", name) == its, name
        assert data(place, "blame", name) == data(place, "blame", f"art:{1 if its is one else 2}"), name
    before = f"#{two[-1]['offset']}"
    assert data(place, "--at", before, "blame", "taxi@prod") == data(place, "blame", "taxi:1"), "what it stood for then"


@pytest.mark.parametrize("words", [["diff", "#13"], ["blame", "art:2"], ["log", "art:2"]])
def test_every_format_says_the_same_and_none_can_steer_the_terminal(place: Path, words: list[str]) -> None:
    rows = data(place, *words)
    lines = run(place, "-o", "jsonl", *words).stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        read = list(csv.DictReader(io.StringIO(run(place, "-o", form, *words).stdout), delimiter=delimiter))
        assert [list(row) for row in read] == [list(row) for row in rows]
    if words[0] == "diff":
        assert run(place, "diff", "#3", "#3", "-o", "csv").stdout == ",".join(rows[0]) + "\n", "nothing, but its fields"
    table = run(place, *words).stdout
    assert not any(code in table for code in ("\x1b", "\x07", "\x9b"))
    assert "evil\\x1b]0;" in table


@pytest.mark.parametrize("words", [["show", "run:1"], ["show", "ctx:2"]])
def test_show_tells_of_each_version_what_it_changed(place: Path, words: list[str]) -> None:
    versions = data(place, *words)["versions"]
    assert [version["record"] for version in versions] == (["#5", "#9"] if "run:1" in words else ["#16"])
    assert versions[0]["what"].startswith("added")
    assert versions[-1]["what"] == ("properties.state RUNNING → COMPLETED" if "run:1" in words else "added ctx:2 exp2")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["diff", "#99"], 1, "has not reached"),
        (["diff", "2999-01-01"], 1, "has not reached"),
        (["diff", "soon"], 2, "is no moment"),
        (["diff", "#1", "#2", "#3"], 2, "unexpected extra argument"),
        (["--at", "#3", "diff", "#1", "#2"], 2, "a third moment"),
        (["diff", "--type", "Nope"], 1, "there is no type 'Nope'"),
        (["blame", "art:99"], 1, "there is no art:99"),
        (["blame", "type:Nope"], 1, "there is no type:Nope"),
        (["--at", "#4", "blame", "art:1"], 1, "there is no art:1"),
        (["blame", "thing"], 1, "there is no thing"),
        (["log", "thing:7"], 1, "there is no thing:7"),
        (["log", "-f", "thing:7"], 1, "there is no thing:7"),
        (["blame", "art:x"], 2, "names nothing"),
        (["blame"], 2, "missing argument"),
        (["log", "run:99"], 1, "there is no run:99"),
        (["--at", "#5", "log", "run:1"], 1, "there is no run:1"),
        (["log", f"art:{'9' * 5_000}"], 2, "names nothing"),
        (["log", "art:٣"], 2, "names nothing"),
        (["log", ""], 2, "names nothing"),
        (["log", "--type", "Nope"], 1, "there is no type 'Nope'"),
        (["log", "run:1", "--type", "Trainer"], 2, "--type is for the records of all things"),
        (["blame", "type:\udcff"], 2, "no text in UTF-8"),
        (["diff", "--type", "\udcff"], 2, "no text in UTF-8"),
        (["blame", "art:0"], 1, "there is no art:0"),
        (["blame", f"type:{ESCAPE}"], 1, "there is no type:evil\\x1b]0;title"),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_line_with_the_next_command(
    place: Path, words: list[str], code: int, told: str
) -> None:
    result = run(place, *words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr
    first, second = result.stderr.splitlines()[-2:]
    assert first.startswith("evlog: ")
    assert second.startswith("try: ")
