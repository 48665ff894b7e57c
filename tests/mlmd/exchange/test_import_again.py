"""An import that was stopped goes on; one of a database that grew adds what is new; one of another database is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from check import check_store
from mlmd_files import changed, imported, made

from mlmd.engine import Engine
from mlmd.exchange import database, importing
from mlmd.exchange.errors import DivergedError, TargetError
from mlmd.exchange.target import Target
from mlmd.methods import METHODS
from mlmd.opening import open_folder
from mlmd.proto import metadata_store_pb2 as pb
from projections.query import KINDS
from projections.sqlite.order import ids_as_put

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

MANY = """
with recursive n(i) as (values (10) union all select i + 1 from n where i < {last})
insert into Artifact select i, 1, 'u' || i, 2, 'n' || i, null, 1000 - i % 7, 2000 from n;
insert into ArtifactProperty select i, 'i', 0, i, null, null, null, null, null from Artifact join (select id as i from Artifact where id >= 10) on id = i;
insert into Event select id, id, 1, 3, 5 from Artifact where id >= 10;
insert into Event select 1000000 + id, 77000000 + id, 1, 3, 5 from Artifact where id >= 10;
"""


def call(engine: Engine, name: str, **request: Any) -> Any:
    return engine.call(METHODS[name], METHODS[name].request(**request))


def contents(place: Path) -> list[Any]:
    """Return all that a store answers, and check that it is sound."""
    engine = Engine(open_folder(place))
    check_store(engine, imported=True)
    found = [call(engine, f"Get{kind.capitalize()}s").SerializeToString(deterministic=True) for kind in KINDS]
    found += [call(engine, f"Get{kind.capitalize()}Types").SerializeToString(deterministic=True) for kind in KINDS]
    ids = [one.id for one in call(engine, "GetExecutions").executions]
    found.append(call(engine, "GetEventsByExecutionIDs", execution_ids=ids).SerializeToString(deterministic=True))
    found += [
        engine.view.ask(lambda lookup, table=table: [*lookup.as_put(table)])
        for table in ("attribution", "association", "parent_context")
    ]
    engine.close()
    return found


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("after", [False, True])
def test_an_import_stopped_after_any_record_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr(database, "BATCH_ROWS", 3)
    path = made(tmp_path / "metadata.db", MANY.format(last=17), "update Event set artifact_id = 99 where id = 12")
    whole = imported(path, tmp_path / "whole")
    expected = contents(tmp_path / "whole")
    append = Target._append
    for stop in range(whole.records):
        place, left = tmp_path / f"stop {stop}", [stop]

        def stopping(self: Target, changes: Any, reason: str, left: list[int] = left) -> None:
            if left[0] == 0 and not after:
                raise StoppedError
            append(self, changes, reason)
            left[0] -= 1
            if left[0] < 0:
                raise StoppedError

        monkeypatch.setattr(Target, "_append", stopping)
        with pytest.raises(StoppedError):
            imported(path, place)
        assert not place.exists()
        monkeypatch.setattr(Target, "_append", append)
        report = imported(path, place)
        assert (report.kept, report.digest) == (whole.kept, whole.digest)
        assert report.records == whole.records - stop - after
        assert contents(place) == expected
        assert not list(tmp_path.glob("*.importing"))
        assert imported(path, place).records == 0


def test_an_import_that_is_killed_leaves_no_store_and_goes_on(tmp_path: Path) -> None:
    path, place = made(tmp_path / "metadata.db", MANY.format(last=6_000)), tmp_path / "store"
    code = "import sys; from mlmd.cli import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "-s", str(place), "import", str(path)], stderr=subprocess.PIPE
    )
    begun = tmp_path / "store.importing" / "log" / f"{0:020}.seg"
    until = time.monotonic() + 60
    while not begun.exists() or begun.stat().st_size < 300_000:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    assert not place.exists()
    report = imported(path, place)
    assert report.tables["Artifact"].same
    assert not list((place / "views").glob("building*"))
    imported(path, tmp_path / "whole")
    assert contents(place) == contents(tmp_path / "whole")


def test_what_a_database_grew_by_is_added_and_what_changed_is_put_again(tmp_path: Path) -> None:
    path, place = made(tmp_path / "metadata.db"), tmp_path / "store"
    first = imported(path, place)
    changed(
        path,
        "insert into Artifact values (9, 1, 'u9', 2, 'n9', null, 50, 50);"  # An earlier create time, too.
        "insert into Artifact values (5, 1, 'u5', 2, 'n5', null, 500, 500);"
        "update Artifact set state = 4, last_update_time_since_epoch = 900 where id = 1;"
        "update ArtifactProperty set int_value = 8 where artifact_id = 1;"
        "insert into TypeProperty values (1, 'new', 2);"
        "insert into Type (id, name, type_kind) values (20, 'Late', 1);"
        "insert into Event values (7, 9, 1, 3, 5), (3, 5, 1, 3, 5);"
        "insert into Attribution values (8, 2, 9); insert into Context values (3, 3, 'c3', null, 1, 1);"
        "insert into ParentContext values (3, 1);",
    )
    # Type ids that the store gave to the system types, which the database lacks, are taken: see the test of other histories.
    changed(path, "delete from Type where id = 20")
    second = imported(path, place)
    assert second.digest != first.digest
    table = second.tables["Artifact"]
    assert (table.rows, table.new, table.changed, table.same) == (5, 2, 1, 2)
    assert (second.tables["Type"].changed, second.tables["Event"].new, second.tables["Attribution"].new) == (1, 2, 1)
    imported(path, tmp_path / "fresh")
    # Ids of attributions are not kept, so links come in the order of their putting; the rest is as if imported at once.
    assert contents(place)[:7] == contents(tmp_path / "fresh")[:7]
    assert imported(path, place).records == 0
    changed(
        path,
        "insert into Artifact values (7, 1, 'u7', 2, 'n7', null, 60, 60); insert into Event values (2, 7, 1, 3, 5)",
    )
    before = Engine(open_folder(place))
    end, artifacts = before.log.end, call(before, "GetArtifacts")
    before.close()
    imported(path, place)
    engine = Engine(open_folder(place))
    assert not ids_as_put(engine.view._connection, "artifact")
    get = METHODS["GetArtifacts"]
    assert get.message(engine.answer(get, get.request(), at=end)) == artifacts
    check_store(engine, imported=True)
    engine.close()


def test_the_same_database_under_another_name_is_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, place = made(tmp_path / "metadata.db"), tmp_path / "store"
    monkeypatch.setenv("EVLOG_REASON", "ticket 81")
    digest = imported(path, place).digest
    assert imported(path.rename(tmp_path / "moved.db"), place).records == 0
    engine = Engine(open_folder(place))
    reasons = [entry.record.envelope.reason for entry in engine.log.read(0)]
    engine.close()
    assert set(reasons[:-1]) == {f"ticket 81: import of {path}, schema 10"}
    assert reasons[-1] == f"{reasons[0]}, complete, digest {digest}"


def test_after_an_import_new_puts_go_on_with_ids_and_orders(tmp_path: Path) -> None:
    path = made(tmp_path / "metadata.db", f"update Artifact set create_time_since_epoch = {2**53} where id = 2")
    imported(path, tmp_path / "store")
    engine = Engine(open_folder(tmp_path / "store"))
    put = call(engine, "PutArtifacts", artifacts=[pb.Artifact(type_id=1, name="new")])
    assert put.artifact_ids == [4]
    options = pb.ListOperationOptions(max_result_size=10)
    options.order_by_field.field = pb.ListOperationOptions.OrderByField.CREATE_TIME
    listed = call(engine, "GetArtifacts", options=options).artifacts
    assert [one.id for one in listed] == [1, 3, 4, 2]
    assert call(engine, "PutArtifactType", artifact_type=pb.ArtifactType(name="Late")).type_id == 13
    check_store(engine, imported=True)
    engine.close()


@pytest.mark.parametrize("rows", [2_000, 1])
def test_names_and_external_ids_that_changed_hands_are_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(database, "BATCH_ROWS", rows)
    path, place = made(tmp_path / "metadata.db"), tmp_path / "store"
    changed(
        path,
        "update Artifact set external_id = 'x' || id, type_id = 1; update Context set external_id = 'x' || id;"
        "update Type set external_id = 't' || id",
    )
    imported(path, place)
    changed(
        path,
        # Round: each takes what another had. A new one takes what its holder lost.
        "update Artifact set external_id = null; update Artifact set external_id = 'x' || (id % 3 + 1);"
        "update Artifact set name = null; update Artifact set name = 'n' || (3 - id) where id < 3;"
        "update Context set name = 'c' || (13 - id); update Context set name = 'c' || (3 - id);"
        "update Context set external_id = null; insert into Context values (9, 3, 'c9', 'x1', 1, 1);"
        "update Type set external_id = null; update Type set external_id = 't' || (id % 3 + 1);"
        "insert into Type (id, name, type_kind) values (4, 'mlmd.Dataset', 1)",
    )
    assert imported(path, place).kept == {}
    imported(path, tmp_path / "fresh")
    assert contents(place) == contents(tmp_path / "fresh")
    assert imported(path, place).records == 0


OTHERS = {
    "a row was removed": ("delete from Artifact where id = 2", "artifact 2 of the store is not there"),
    "the last row was removed": ("delete from Artifact where id = 3", "artifact 3 of the store is not there"),
    "another database": (
        "update Artifact set create_time_since_epoch = 7 where id = 3",
        "artifact 3 of the store is another one",
    ),
    "another node": ("update Execution set type_id = 12 where id = 1", "execution 1 of the store is another one"),
    "another event": ("update Event set artifact_id = 1 where id = 1", "event 1 of the store is another one"),
    "another type": ("update Type set name = 'Other' where id = 1", "type 1 is 'Data' in the store and 'Other' in"),
    "a type under an id of the store's own": (
        "insert into Type (id, name, type_kind) values (4, 'Late', 1)",
        "type 4 is 'mlmd.Dataset' in the store and 'Late' in",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_history_is_refused_before_anything_is_put(tmp_path: Path, case: str) -> None:
    sql, said = OTHERS[case]
    path, place = made(tmp_path / "metadata.db"), tmp_path / "store"
    imported(path, place)
    before = contents(place)
    changed(path, "insert into Artifact values (9, 1, 'u9', 2, 'n9', null, 50, 50);" + sql)
    with pytest.raises(DivergedError, match=said) as caught:
        imported(path, place)
    assert caught.value.hint
    assert contents(place) == before


def test_a_store_with_puts_of_its_own_is_refused(tmp_path: Path) -> None:
    path, place = made(tmp_path / "metadata.db"), tmp_path / "store"
    imported(path, place)
    engine = Engine(open_folder(place))
    call(engine, "PutArtifacts", artifacts=[pb.Artifact(type_id=1)])
    end = engine.log.end
    engine.close()
    with pytest.raises(DivergedError, match=rf"records of its own, the first is #{end - 1} \(PutArtifacts"):
        imported(path, place)


def test_an_empty_store_takes_a_database_with_the_same_system_types(tmp_path: Path) -> None:
    systems = ["Dataset", "Model", "Metrics", "Statistics"], ["Train", "Transform", "Process", "Evaluate", "Deploy"]
    rows = [f"('mlmd.{name}', {kind})" for kind, names in ((1, systems[0]), (0, systems[1])) for name in names]
    path = made(
        tmp_path / "metadata.db",
        "update Type set id = id + 9; update TypeProperty set type_id = type_id + 9;"
        "update Artifact set type_id = type_id + 9; update Execution set type_id = type_id + 9; update Context set type_id = type_id + 9;",
        *(
            f"insert into Type (id, name, type_kind) select {number}, * from (values {row})"
            for number, row in enumerate(rows, 1)
        ),
    )
    Engine(open_folder(tmp_path / "store", create=True)).close()
    report = imported(path, tmp_path / "store")
    assert (report.tables["Type"].new, report.tables["Type"].same) == (3, 9)
    imported(path, tmp_path / "fresh")
    assert contents(tmp_path / "store") == contents(tmp_path / "fresh")


def test_a_place_taken_meanwhile_keeps_what_is_there_and_what_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, place = made(tmp_path / "metadata.db"), tmp_path / "store"
    summed_up = importing._Import._summed_up

    def taking(self: Any) -> Any:
        Engine(open_folder(place, create=True)).close()
        return summed_up(self)

    monkeypatch.setattr(importing._Import, "_summed_up", taking)
    with pytest.raises(TargetError, match="the import is complete in .*store.importing, but this name was taken"):
        imported(path, place)
    assert len(contents(tmp_path / "store.importing")) == len(contents(place))


def test_a_put_of_another_process_ends_the_import_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, place = made(tmp_path / "metadata.db"), tmp_path / "store"
    imported(path, place)
    changed(path, "insert into Artifact values (9, 1, 'u9', 2, 'n9', null, 50, 50)")
    look_back = Target._look_back

    def meanwhile(self: Target, progress: Any) -> None:
        look_back(self, progress)
        engine = Engine(open_folder(place))
        call(engine, "PutArtifacts", artifacts=[pb.Artifact(type_id=1, name="theirs")])
        engine.close()

    monkeypatch.setattr(Target, "_look_back", meanwhile)
    with pytest.raises(DivergedError):
        imported(path, place)
    engine = Engine(open_folder(place))
    assert [one.name for one in call(engine, "GetArtifacts").artifacts][-1] == "theirs"
    check_store(engine, imported=True)
    engine.close()


def test_a_record_too_large_is_halved_and_a_row_too_large_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path / "metadata.db", "update Artifact set uri = hex(zeroblob(150))")
    monkeypatch.setattr("evlog.group.BODY_MAX", 800)
    report = imported(path, tmp_path / "store")
    monkeypatch.undo()
    imported(path, tmp_path / "whole")
    assert report.records > imported(path, tmp_path / "other").records
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")
    monkeypatch.setattr("evlog.group.BODY_MAX", 600)
    with pytest.raises(TargetError, match=r"artifact 1: .* bytes"):
        imported(path, tmp_path / "none")
