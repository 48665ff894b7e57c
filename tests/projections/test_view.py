from __future__ import annotations

import math
import os
import threading
from typing import TYPE_CHECKING

import apsw
import msgspec
import pytest
import records

from evlog.records import ArtifactPut, Entry, Proto, Struct
from projections.errors import FullViewError, OutOfOrderError, ViewError, WrongViewError
from projections.projector import catch_up
from projections.query import After, Listing, OrderBy
from projections.sqlite import database
from projections.sqlite.view import View, peek
from projections.values import as_json, as_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evlog.records import Record

LOG_ID = b"\1" * 16


@pytest.fixture(params=["memory", "file"])
def view(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[View]:
    if request.param == "file":
        view = View.create(database.new_file(tmp_path), LOG_ID, records.BODIES)
    else:
        view = View.create(None, LOG_ID, records.BODIES)
    yield view
    view.close()


def fill(view: View, given: list[Record], start: int = 0) -> None:
    view.begin()
    catch_up(view, [Entry(start + number, 1, one) for number, one in enumerate(given)])
    view.commit(b"\2" * 16)


def decoded(body: bytes) -> ArtifactPut:
    return msgspec.msgpack.decode(body, type=tuple[str, ArtifactPut])[1]


def test_rows_and_applied_offset_move_together(view: View) -> None:
    fill(view, records.small_store())
    assert view.watermark() == view.applied == len(records.small_store())
    assert view.ask(lambda lookup: lookup.last_id("artifact")) == 10


def test_a_rollback_leaves_neither_rows_nor_offset_nor_memory_of_type_names(view: View) -> None:
    before = view.digest()
    view.begin()
    catch_up(view, [Entry(0, 1, records.types())])
    view.rollback()
    assert view.digest() == before
    view.begin()
    assert view.applied == 0
    view.rollback()


def test_a_record_out_of_order_is_refused_and_nothing_of_it_applied(view: View) -> None:
    fill(view, [records.types()])
    before = view.digest()
    view.begin()
    with pytest.raises(OutOfOrderError, match="expects record 1, it was given 2"):
        catch_up(view, [Entry(2, 1, records.record(records.artifact(1)))])
    view.rollback()
    assert view.digest() == before


def test_the_complete_new_state_replaces_the_old_one(view: View) -> None:
    fill(view, [records.types(), records.record(records.artifact(1, state="LIVE", external_id="x"))])
    changed = records.artifact(1, external_id=None, uri="elsewhere", properties={})
    fill(view, [records.record(changed)], start=2)
    assert [decoded(body) for body in view.ask(lambda lookup: lookup.nodes("artifact", [1]))] == [changed]
    assert view.ask(lambda lookup: lookup.id_external("artifact", "x")) is None
    assert view.ask(lambda lookup: lookup.artifacts_at("elsewhere"))


def test_equal_digests_do_not_depend_on_the_order_of_rows_in_the_file(tmp_path: Path) -> None:
    digests = set()
    for number, indexes in enumerate([True, False]):
        path = tmp_path / f"{number}.sqlite"
        path.touch()
        view = View.create(path, LOG_ID, records.BODIES, indexes=indexes)
        given = records.small_store()
        if number:  # In one transaction, and the file then written in another order.
            fill(view, given)
            view.close()
            connection = apsw.Connection(str(path))
            connection.execute("create table copy as select * from artifact order by id desc")
            connection.execute("delete from artifact; insert into artifact select * from copy; drop table copy; vacuum")
            connection.close()
            view = View(str(path), LOG_ID, records.BODIES, writable=True, create=False, indexes=False)
        else:
            for offset, one in enumerate(given):
                fill(view, [one], start=offset)
        digests.add(view.digest())
        view.close()
    assert len(digests) == 1


@pytest.mark.parametrize(
    "change",
    [
        "update artifact set uri = 'x' where id = 3",
        "update artifact set properties = jsonb('{\"number\": 4}') where id = 3",
        "update artifact set body = x'00' where id = 3",
        "update execution set state = 'COMPLETE'",
        "update type set description = 'd' where id = 1",
        "delete from event where id = 2",
        "insert into attribution values (2, 2, 1)",
        "delete from association",
        "update parent_context set parent_id = 2, child_id = 1",
        "update context set external_id = null",
        "update view set applied = applied + 1",
        "update landmark set update_time = update_time + 1 where offset = 0",
        "delete from landmark",
        "insert into landmark values (1, 0)",
        "insert into disorder values ('event', 'id')",
    ],
)
def test_every_change_of_state_changes_the_digest(tmp_path: Path, change: str) -> None:
    path = tmp_path / "v.sqlite"
    path.touch()
    view = View.create(path, LOG_ID, records.BODIES)
    fill(view, records.small_store())
    before = view.digest()
    other = apsw.Connection(str(path))
    other.execute(change)
    other.close()
    assert view.digest() != before
    view.close()


def test_a_view_of_another_log_or_release_or_no_view_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongViewError, match="there is no view"):
        View.open(tmp_path, LOG_ID, records.BODIES)
    path = database.new_file(tmp_path)
    View.create(path, LOG_ID, records.BODIES).close()
    path = database.FILES.publish(tmp_path, path)
    with pytest.raises(WrongViewError, match="another log"):
        View.open(tmp_path, b"\x09" * 16, records.BODIES)
    connection = apsw.Connection(str(path))
    connection.execute("update view set schema_version = 99")
    connection.close()
    with pytest.raises(WrongViewError, match="another release"):
        View.open(tmp_path, LOG_ID, records.BODIES)
    path.write_bytes(b"no database at all, but long enough to look at it as one" * 20)
    with pytest.raises(WrongViewError, match="not a database"):
        View.open(tmp_path, LOG_ID, records.BODIES)
    assert peek(tmp_path) is None


def test_peek_tells_which_log_and_how_far(tmp_path: Path) -> None:
    assert peek(tmp_path) is None
    path = database.new_file(tmp_path)
    view = View.create(path, LOG_ID, records.BODIES)
    fill(view, records.small_store())
    view.close()
    database.FILES.publish(tmp_path, path)
    assert peek(tmp_path) == (LOG_ID, view.applied)


def test_a_new_generation_is_seen_and_the_old_one_stays_readable(tmp_path: Path) -> None:
    first, second = database.new_file(tmp_path), database.new_file(tmp_path)
    assert first != second
    for path in (first, second):
        view = View.create(path, LOG_ID, records.BODIES)
        fill(view, records.small_store(artifacts=3 if path == first else 4))
        view.close()
    first = database.FILES.publish(tmp_path, first)
    folder = f"{tmp_path}/"
    old = View.open(tmp_path, LOG_ID, records.BODIES)
    assert old.is_current(folder)
    assert old.ask(lambda lookup: lookup.last_id("artifact")) == 3
    database.FILES.publish(tmp_path, second)
    assert not old.is_current(folder)
    assert not first.exists()
    assert old.ask(lambda lookup: lookup.last_id("artifact")) == 3
    new = View.open(tmp_path, LOG_ID, records.BODIES)
    assert new.ask(lambda lookup: lookup.last_id("artifact")) == 4
    new.close()
    old.close()
    assert peek(tmp_path) == (LOG_ID, len(records.small_store(4)))


def test_whoever_publishes_last_is_current_and_what_others_still_build_is_left_alone(tmp_path: Path) -> None:
    first, second, unfinished = (database.new_file(tmp_path) for _ in range(3))
    for path in (second, first):
        View.create(path, LOG_ID, records.BODIES).close()
        published = database.FILES.publish(tmp_path, path)
    assert database.FILES.current(tmp_path) == published.resolve()
    assert sorted(tmp_path.iterdir()) == sorted([published, tmp_path / database.FILES.link, unfinished])


def test_a_build_that_was_abandoned_is_removed_in_time(tmp_path: Path) -> None:
    abandoned, path = database.new_file(tmp_path), database.new_file(tmp_path)
    os.utime(abandoned, (0, 0))
    View.create(path, LOG_ID, records.BODIES).close()
    database.FILES.publish(tmp_path, path)
    assert not abandoned.exists()


def test_readers_see_whole_transactions_only_while_a_writer_writes(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    path.touch()
    view = View.create(path, LOG_ID, records.BODIES)
    fill(view, [records.types()])
    seen: set[int] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(len(view.ask(lambda lookup: lookup.page(Listing("artifact")))))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for group in range(10):
        changes = [records.record(records.artifact(group * 10 + number)) for number in range(1, 11)]
        fill(view, changes, start=1 + group * 10)
    stop.set()
    for thread in threads:
        thread.join()
    view.close()
    assert all(count % 10 == 0 for count in seen)


@pytest.mark.parametrize("order_by", list(OrderBy))
@pytest.mark.parametrize("ascending", [True, False])
def test_pages_joined_are_the_whole_list_in_a_total_order(view: View, order_by: OrderBy, ascending: bool) -> None:
    fill(view, records.small_store(artifacts=23))
    listing = Listing("artifact", order_by=order_by, ascending=ascending)
    whole = view.ask(lambda lookup: lookup.page(listing))
    assert [(listed.value, listed.id) for listed in whole] == sorted(
        ((listed.value, listed.id) for listed in whole), reverse=not ascending
    )
    paged, after = [], None
    while True:
        page = view.ask(lambda lookup, after=after: lookup.page(listing._replace(after=after, limit=4)))
        if not page:
            break
        paged += page
        after = After(page[-1].value, page[-1].id)
    assert paged == whole


@pytest.mark.parametrize(
    ("listing", "index"),
    [
        (Listing("artifact", order_by=OrderBy.UPDATE_TIME, after=After(5, 5), limit=10), "artifact_update_time"),
        (
            Listing("artifact", order_by=OrderBy.CREATE_TIME, ascending=False, limit=10),
            "SCAN n",
        ),  # By id, which is the same.
        (Listing("artifact", type_id=1, after=After(5, 5), limit=10), "artifact_type"),
        (Listing("context", type_id=1, limit=10), "context_type"),
    ],
)
def test_a_page_is_found_through_an_index_and_never_sorted(listing: Listing, index: str) -> None:
    view = View.create(None, LOG_ID, records.BODIES)
    plans: list[str] = []
    connection = view.lookup._connection

    def trace(_cursor: object, statement: str, bindings: object) -> bool:
        if not statement.startswith("explain"):
            rows = connection.execute("explain query plan " + statement, bindings)  # type: ignore[arg-type]
            plans.extend(str(row[3]) for row in rows)
        return True

    connection.exec_trace = trace
    view.lookup.page(listing)
    connection.exec_trace = None
    view.close()
    assert any(index in plan for plan in plans), plans
    assert not any("TEMP B-TREE" in plan for plan in plans), plans


def test_properties_become_json_that_keeps_types_apart() -> None:
    assert as_json({}) is None
    connection = apsw.Connection(":memory:")
    properties = {
        "int": 2**63 - 1,
        "whole": 1.0,
        "tiny": 5e-324,
        "text": 'é "\0',
        "flag": True,
        "inf": math.inf,
        "low": -math.inf,
        "nan": math.nan,
        "struct": Struct({"a": [None, {"b": math.inf}], "unset": msgspec.msgpack.Ext(0, b"")}),
        "proto": Proto("type/x", b"\0\1"),
        "": -0.0,
    }
    text = as_json(properties)
    assert text is not None
    assert as_json_lines([properties, {}, {"a": 1}]) == [text, b"{}", b'{"a":1}']
    assert as_json_lines([{"a": 1, "b": "x\ny"}, {}]) == [b'{"a":1,"b":"x\\ny"}', b"{}"]
    assert as_json_lines([]) == []
    sql = "select key, type, atom from json_each(jsonb(?))"
    rows: dict[str, tuple[str, object]] = {key: (form, atom) for key, form, atom in connection.execute(sql, (text,))}  # type: ignore[misc]
    assert rows["int"] == ("integer", 2**63 - 1)
    assert rows["whole"] == ("real", 1.0)
    assert rows["tiny"] == ("real", 5e-324)
    assert rows["flag"][0] == "true"
    assert rows["inf"] == ("real", math.inf)
    assert rows["low"] == ("real", -math.inf)
    assert rows["nan"][0] == "null"
    assert (rows["struct"][0], rows["proto"][0]) == ("object", "array")
    assert rows[""][0] == "real"


def test_a_damaged_view_says_how_to_make_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    path.touch()
    view = View.create(path, LOG_ID, records.BODIES)
    fill(view, records.small_store(artifacts=2_000))
    view.close()
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 8192 * 4096, len(data), 4096):  # The first half holds the schema.
        data[at : at + 64] = b"\xff" * 64
    path.write_bytes(data)
    damaged = View(str(path), LOG_ID, records.BODIES, writable=False, create=False, indexes=False)
    with pytest.raises(ViewError, match="evlog replay"):
        damaged.ask(lambda lookup: lookup.page(Listing("artifact")))
    damaged.close()


def test_ids_that_are_not_there_are_left_out_and_repeats_answered_once(view: View) -> None:
    fill(view, records.small_store())
    found = view.ask(lambda lookup: lookup.nodes("artifact", [9, 3, 99, -1, 3]))
    assert [decoded(body).id for body in found] == [3, 9]
    assert view.ask(lambda lookup: lookup.nodes("artifact", [])) == []


def test_a_view_that_was_open_when_the_machine_stopped_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database.new_file(tmp_path)
    View.create(path, LOG_ID, records.BODIES).close()
    database.FILES.publish(tmp_path, path)
    monkeypatch.setattr(database, "BOOT", "the next boot")
    settled = View.open(tmp_path, LOG_ID, records.BODIES)  # It was closed: all of it is on the disk.
    fill(settled, records.small_store())
    monkeypatch.setattr(database, "BOOT", "the boot after that")
    with pytest.raises(WrongViewError, match="the machine stopped"):
        View.open(tmp_path, LOG_ID, records.BODIES)
    monkeypatch.setattr(database, "BOOT", "the next boot")
    settled.close()
    monkeypatch.setattr(database, "BOOT", "the boot after that")
    View.open(tmp_path, LOG_ID, records.BODIES).close()


def test_a_view_that_others_still_write_to_is_not_called_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database.new_file(tmp_path)
    View.create(path, LOG_ID, records.BODIES).close()
    database.FILES.publish(tmp_path, path)
    one, other = (View.open(tmp_path, LOG_ID, records.BODIES) for _ in range(2))
    fill(one, [records.types()])
    original = database._checkpointed

    def put_meanwhile(connection: apsw.Connection) -> bool:
        done = original(connection)
        monkeypatch.setattr(database, "_checkpointed", original)
        fill(other, [records.record(records.artifact(1))], start=1)
        return done

    monkeypatch.setattr(database, "_checkpointed", put_meanwhile)
    one.close()
    with monkeypatch.context() as patch:
        patch.setattr(database, "BOOT", "the next boot")
        with pytest.raises(WrongViewError, match="the machine stopped"):
            View.open(tmp_path, LOG_ID, records.BODIES)
    other.close()
    with monkeypatch.context() as patch:
        patch.setattr(database, "BOOT", "the next boot")
        View.open(tmp_path, LOG_ID, records.BODIES).close()


def test_a_look_up_holds_no_snapshot_once_it_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    path.touch()
    view = View.create(path, LOG_ID, records.BODIES)
    fill(view, records.small_store())
    other = View(str(path), LOG_ID, records.BODIES, writable=True, create=False, indexes=False)
    other.lookup.last_id("artifact")
    other.ask(lambda lookup: lookup.nodes("artifact", [1]))
    fill(view, [records.record(records.artifact(11))], start=view.applied)
    other.begin()  # Would be refused if the look-up still held the state before.
    other.rollback()
    assert other.ask(lambda lookup: lookup.last_id("artifact")) == 11
    other.close()
    view.close()


def test_a_view_that_was_rolled_back_stands_where_it_stood(view: View) -> None:
    fill(view, [records.types()])
    view.begin()
    catch_up(view, [Entry(1, 1, records.record(records.artifact(1)))])
    view.rollback()
    assert view.applied == view.watermark() == 1


@pytest.mark.parametrize("step", ["connect", "build_unjournalled", "create_tables", "create_indexes", "journal"])
def test_a_view_that_finds_no_room_while_it_is_made_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_given: object, **_named: object) -> None:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(*((apsw, "Connection") if step == "connect" else (database, step)), full)
    with pytest.raises(FullViewError, match="the disk is full: free some space"):
        View.create(tmp_path / "view.sqlite", LOG_ID, records.BODIES, indexes=False).index()
