"""`mlmd.sql` and `evlog sql`: questions in SQL, now and as of a moment, within limits."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from click.testing import CliRunner

import mlmd
from mlmd import errors
from mlmd.cli import cli
from mlmd.demo import record_workflow
from mlmd.proto import metadata_store_pb2 as pb
from projections.errors import MissingLibraryError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.slow

STATES = "select properties.state::varchar as state from executions where is_current"
RUNNING_AT = 9  # Records: the workflow has put the run, and not ended it.


@pytest.fixture
def place(tmp_path: Path) -> Path:
    store = mlmd.MetadataStore(config(tmp_path / "store"))
    record_workflow(store)
    store.close()
    return tmp_path / "store"


def config(place: Path) -> pb.ConnectionConfig:
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))


def evlog(place: Path, *args: str, **more: Any) -> Result:
    return CliRunner().invoke(cli, ["-s", str(place), *args], **more)


def rows(place: Path, *args: str) -> Any:
    result = evlog(place, *args, "-o", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


# From Python ------------------------------------------------------------------------------------------------------------


def test_a_store_answers_sql_now_and_as_of_a_moment(store: mlmd.MetadataStore) -> None:
    before = datetime.now(UTC)
    record_workflow(store)
    end = mlmd.sql(store, "select applied from watermark").fetchall()[0][0]
    assert mlmd.sql(store, STATES).fetchall() == [("COMPLETED",)]
    assert mlmd.sql(store, STATES, at=f"#{RUNNING_AT}").fetchall() == [("RUNNING",)]
    assert mlmd.sql(store.as_of(RUNNING_AT), STATES).fetchall() == [("RUNNING",)]
    assert mlmd.sql(store.as_of(RUNNING_AT), STATES, at=before).fetchall() == []
    assert mlmd.sql(store, "from artifacts", at=0).fetchall() == []
    assert mlmd.sql(store, "from type_Trainer", at=0).fetchall() == []
    assert mlmd.sql(store, "select $a + $b", {"a": 1, "b": 2}).fetchall() == [(3,)]
    assert mlmd.sql(store, "select $1", ["x"]).fetchall() == [("x",)]
    assert mlmd.sql(store, "select id from artifacts order by id").columns == ["id"]
    with pytest.raises(errors.OutOfRangeError):
        mlmd.sql(store, "select 1", at=end + 1)
    with pytest.raises(errors.OutOfRangeError, match=f"#{RUNNING_AT}"):
        mlmd.sql(store.as_of(RUNNING_AT), "select 1", at=RUNNING_AT + 1)
    with pytest.raises(errors.InvalidArgumentError):
        mlmd.sql(store, "select 1", at="some day")
    with pytest.raises(duckdb.ParserException):
        mlmd.sql(store, "selec")


def test_a_relation_that_is_held_stops_no_put_and_keeps_its_moment(store: mlmd.MetadataStore) -> None:
    held = mlmd.sql(store, "select count(*) from types")
    store.put_artifact_type(pb.ArtifactType(name="A"))
    later = mlmd.sql(store, "select count(*) from types")
    assert (held.fetchall(), later.fetchall()) == ([(9,)], [(10,)])


def test_what_another_process_put_is_seen(place: Path) -> None:
    store, other = mlmd.MetadataStore(config(place)), mlmd.MetadataStore(config(place))
    other.put_artifact_type(pb.ArtifactType(name="A"))
    count = "select count(*) from types where name = 'A'"
    assert mlmd.sql(other, count).fetchall() == [(1,)]
    assert mlmd.sql(store, count).fetchall() == [(1,)]
    assert len(list((place / "views").glob("history.0*"))) == 1
    store.close()
    other.close()


def test_sql_reads_and_changes_nothing_else(place: Path) -> None:
    store = mlmd.MetadataStore(config(place))
    for refused in (
        "from read_text('/etc/passwd')",
        "from '/etc/passwd'",
        "copy artifacts to 'out.csv'",
        "attach 'other.duckdb'",
        "install httpfs",
        "load httpfs",
        "set memory_limit = '90GB'",
        "set enable_external_access = true",
        "delete from artifacts",
        "create table mine (i int)",
        "drop view type_Trainer",
    ):
        with pytest.raises(duckdb.Error):
            mlmd.sql(store, refused).fetchall()
    store.close()


@pytest.mark.parametrize(
    ("libraries", "into"), [(["pyarrow"], "to_arrow_table"), (["pandas"], "df"), (["pyarrow", "polars"], "pl")]
)
def test_an_answer_goes_to_arrow_pandas_and_polars(place: Path, libraries: list[str], into: str) -> None:
    for library in libraries:
        pytest.importorskip(library)
    store = mlmd.MetadataStore(config(place))
    assert getattr(mlmd.sql(store, "from type_SavedModel"), into)().shape == (1, 11)
    assert getattr(mlmd.sql(store, "from artifacts where false"), into)().shape == (0, 16)
    store.close()


def test_a_server_answers_no_sql() -> None:
    store = mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="localhost", port=1))
    with pytest.raises(errors.UnimplementedError, match="folder"):
        mlmd.sql(store, "select 1")
    with pytest.raises(errors.UnimplementedError, match="folder"):
        mlmd.sql(store.as_of(1), "select 1")


def test_without_duckdb_the_error_says_what_to_install(place: Path) -> None:
    code = "import sys; sys.modules['duckdb'] = None\nfrom mlmd.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "-s", str(place), "sql", "select 1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "pip install 'evlog-mlmd[analytics]'" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "pip install" in str(MissingLibraryError("duckdb", extra="analytics"))


# The command ------------------------------------------------------------------------------------------------------------


def test_every_format_has_the_same_answer(place: Path) -> None:
    query = "select id, uri, properties, null as nothing from artifacts order by id"
    expected = [
        {"id": 1, "uri": "path/to/data", "properties": {"day": 1, "split": "train"}, "nothing": None},
        {"id": 2, "uri": "path/to/model/file", "properties": {"name": "MNIST-v1", "version": 1}, "nothing": None},
    ]
    assert rows(place, "sql", query) == expected
    jsonl = evlog(place, "sql", query, "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in jsonl] == expected
    assert evlog(place, "sql", query, "-o", "csv").stdout.splitlines()[0] == "id,uri,properties,nothing"
    assert evlog(place, "sql", query, "-o", "tsv").stdout.splitlines()[2].split("\t")[1] == "path/to/model/file"
    table = evlog(place, "sql", query)
    assert table.stdout.splitlines()[0].split() == ["id", "uri", "properties", "nothing"]
    assert "2 rows of #13" in table.stderr


def test_parquet_goes_to_a_file_or_to_standard_output(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "it's.parquet"
    written = evlog(place, "sql", "select id, id, properties from artifacts", "-o", "parquet", "-f", str(file))
    assert written.exit_code == 0, written.stderr
    connection = duckdb.connect()
    assert [column[0] for column in connection.execute("from read_parquet($1)", [str(file)]).description] == [
        "id", "id_2", "properties",
    ]  # fmt: skip
    sent = evlog(place, "sql", "from artifacts", "-o", "parquet")
    assert sent.stdout_bytes[:4] == sent.stdout_bytes[-4:] == b"PAR1"
    refused = evlog(place, "sql", "selec", "-o", "parquet", "-f", str(tmp_path / "no.parquet"))
    assert refused.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it's.parquet", "store"]


def test_a_moment_is_looked_back_to(place: Path) -> None:
    assert rows(place, "--at", f"#{RUNNING_AT}", "sql", STATES) == [{"state": "RUNNING"}]
    assert rows(place, "--at", "#0", "sql", "from artifacts") == []
    assert rows(place, "--at", "#3", "sql", "select count(*) as n from type_Trainer") == [{"n": 0}]
    assert evlog(place, "--at", "#99", "sql", "select 1").exit_code == 1


def test_an_answer_lacks_what_the_view_lacks_and_a_moment_that_it_has_lacks_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(place, "sql", STATES)
    store = mlmd.MetadataStore(config(place))
    store.put_artifact_type(pb.ArtifactType(name="Later"))
    store.close()
    monkeypatch.setattr("replay.analytics.writable", lambda _views: False)
    assert "1 row of #13, 1 records behind the log" in evlog(place, "sql", STATES).stderr
    assert "behind" not in evlog(place, "--at", f"#{RUNNING_AT}", "sql", STATES).stderr
    assert evlog(place, "--at", "#14", "sql", STATES).exit_code == 1


def test_a_question_is_an_argument_or_standard_input_and_has_parameters(place: Path) -> None:
    result = evlog(
        place,
        "sql",
        "-",
        "-p",
        "n=2",
        "-p",
        "text=2x",
        "-p",
        'quoted="2"',
        "-o",
        "jsonl",
        input="select $n + 1 as a, $text as b, $quoted as c",
    )
    assert json.loads(result.stdout) == {"a": 3, "b": "2x", "c": "2"}
    assert json.loads(evlog(place, "sql", "-o", "jsonl", input="select 1 as a;").stdout) == {"a": 1}
    assert rows(place, "sql", "select type, hop from lineage_upstream($id)", "-p", "id=2")[-1] == {
        "type": "DataSet",
        "hop": 2,
    }


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["selec"], 2, "syntax error"),
        (["select 1; select 2"], 2, "write one"),
        ([""], 2, "write one"),
        (["from nothing"], 1, "does not exist"),
        (["select uri + 1 from artifacts"], 1, ""),
        (["select $x"], 1, "parameters: x"),
        (["select 1", "-p", "x"], 2, "NAME=VALUE"),
        (["select error('no\x1b[31m')"], 1, "no"),
        (["from artifacts_as_of(99)"], 1, "#99"),
        (["from read_text('/etc/passwd')"], 1, "disabled"),
        (["drop table artifacts"], 1, "DROP is no question"),
        (["set threads = 1"], 1, "SET is no question"),
        (["describe artifacts", "-o", "parquet", "-f", "x.parquet"], 0, ""),
        (["explain select 1", "-o", "parquet", "-f", "x.parquet"], 2, "Parquet"),
        (["select 1", "-f", "x"], 2, "-o parquet"),
        (["select 1", "-o", "parquet", "-f", "nowhere/x.parquet"], 1, "nowhere"),
        (["select 1", "--timeout", "0"], 2, "timeout"),
        (["select count(*) from range(100000000000) a, range(100000)", "--timeout", "0.5"], 1, "longer than 0.5 s"),
        (["select list(range(100000000))", "--memory", "64"], 1, "more than 64 MiB"),
        (["select list(range) from range(1000000000)", "--memory", "64"], 1, "more than 64 MiB"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_line(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = evlog(place, "sql", *args)
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr


def test_other_commands_have_no_parquet(place: Path) -> None:
    result = evlog(place, "-o", "parquet", "status")
    assert (result.exit_code, "no format parquet" in result.stderr) == (2, True)


def test_a_table_stops_at_its_limit_and_says_so(place: Path) -> None:
    result = evlog(place, "sql", "from range(5)", "-n", "3")
    assert len(result.stdout.splitlines()) == 4
    assert "the first 3 rows" in result.stderr
    assert len(evlog(place, "sql", "from range(5)", "-n", "0").stdout.splitlines()) == 6
    assert evlog(place, "sql", "select 1 as a where false").stdout == "a\n"


def test_replay_and_verify_know_the_view_that_sql_asks(place: Path) -> None:
    row = json.loads(evlog(place, "replay", "--view", "history", "-o", "json").stdout)
    assert (row["records"], row["equal_to_the_one_before"]) == (13, None)
    again = json.loads(evlog(place, "replay", "--view", "history", "-o", "json").stdout)
    assert again == row | {"equal_to_the_one_before": True}
    assert "the views equal a replay" in evlog(place, "verify").stdout
    connection = duckdb.connect(str(place / "views" / "history.duckdb"))
    connection.execute("delete from events").fetchall()
    connection.close()
    result = evlog(place, "verify")
    assert (result.exit_code, "history view differs" in result.stdout) == (3, True)
