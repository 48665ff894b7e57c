"""Rows that are not valid: what can be put is, the row is kept whole in the log, and the report says so."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from check import check_store
from mlmd_files import imported, made, rows_of

from evlog.records import ForeignRowKept
from mlmd.engine import Engine
from mlmd.exchange import decode, decode_types, kept, values
from mlmd.exchange.database import BATCH_ROWS
from mlmd.methods import METHODS
from mlmd.opening import open_folder

if TYPE_CHECKING:
    from pathlib import Path

_PROPERTY = "insert into ArtifactProperty (artifact_id, name, is_custom_property, {}) values (2, {})"


def put(columns: str, given: str) -> str:
    return _PROPERTY.format(columns, given)


# what is done to the database -> what is kept of it: (table, why), and the answer to a question about it
CASES: dict[str, tuple[str, list[tuple[str, str]], tuple[str, dict[str, Any], str]]] = {
    "a property without a value": (
        put("int_value", "'i', 0, null"),
        [("ArtifactProperty", values.NO_VALUE)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties == {}"),
    ),
    "a value in the column of bytes": (
        put("byte_value", "'s', 0, x'00ff'"),
        [("ArtifactProperty", values.NO_VALUE)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties == {}"),
    ),
    "several values": (
        put("int_value, string_value", "'i', 0, 5, 'x'"),
        [("ArtifactProperty", values.SEVERAL_VALUES)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties['i'].int_value == 5"),
    ),
    "a number that is no integer": (
        put("int_value", "'i', 0, 5.5"),
        [("ArtifactProperty", values.NOT_OF_COLUMN)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties == {}"),
    ),
    "a boolean that is none": (
        put("bool_value", "'b', 0, 7"),
        [("ArtifactProperty", values.NOT_OF_COLUMN)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties == {}"),
    ),
    "a struct that is none": (
        put("string_value", "'s', 0, 'mlmd-struct::zz!'"),
        [("ArtifactProperty", values.BAD_STRUCT)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties['s'].string_value == 'mlmd-struct::zz!'"),
    ),
    "a proto that is none": (
        put("proto_value", "'p', 0, 'zz%'"),
        [("ArtifactProperty", values.BAD_PROTO)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties == {}"),
    ),
    "a proto without type_url": (
        put("proto_value", "'p', 0, 'EgF4'"),
        [("ArtifactProperty", values.NO_TYPE_URL)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties['p'].proto_value.value == b'x'"),
    ),
    "the text that reads as null": (
        put("string_value", "'s', 0, '__MLMD_NULL__'"),
        [("ArtifactProperty", values.NULL_VALUE)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties['s'].string_value == '__MLMD_NULL__'"),
    ),
    "a text that is not UTF-8": (
        put("string_value", "'s', 0, cast(x'61ff' as text)"),
        [("ArtifactProperty", values.NOT_UTF8)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, r"properties['s'].string_value == 'a\\xff'"),
    ),
    "a key that is not UTF-8": (
        put("int_value", "cast(x'61ff' as text), 1, 5"),
        [("ArtifactProperty", values.NOT_UTF8)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, r"custom_properties['a\\xff'].int_value == 5"),
    ),
    "a property that is not declared": (
        put("int_value", "'zz', 0, 5"),
        [("ArtifactProperty", decode.UNDECLARED)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties['zz'].int_value == 5"),
    ),
    "a property of another type": (
        put("string_value", "'i', 0, '5'"),
        [("ArtifactProperty", decode.OTHER_TYPE)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "properties['i'].string_value == '5'"),
    ),
    "a property of no node": (
        "insert into ArtifactProperty (artifact_id, name, is_custom_property, int_value) values (77, 'i', 0, 1)",
        [("ArtifactProperty", kept.NO_OWNER)],
        ("GetArtifactsByID", {"artifact_ids": [77]}, ""),
    ),
    "an unknown state": (
        "update Artifact set state = 99 where id = 2",
        [("Artifact", decode.NO_STATE)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "HasField('state') == False"),
    ),
    "no uri": (
        "update Artifact set uri = null where id = 2",
        [("Artifact", decode.NO_URI)],
        ("GetArtifactsByURI", {"uris": [""]}, "id == 2"),
    ),
    "a name that reads as null": (
        "update Artifact set name = '__MLMD_NULL__' where id = 2",
        [("Artifact", kept.NULL_FIELD)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, "HasField('name') == False"),
    ),
    "a name that is not UTF-8": (
        "update Artifact set name = cast(x'61ff' as text) where id = 2",
        [("Artifact", values.NOT_UTF8)],
        ("GetArtifactsByID", {"artifact_ids": [2]}, r"name == 'a\\xff'"),
    ),
    "a node without type": (
        "update Artifact set type_id = 99 where id = 2; " + put("int_value", "'i', 0, 5"),
        [
            ("Artifact", decode.NO_TYPE),
            ("ArtifactProperty", kept.NO_OWNER),
            ("Event", decode.DANGLING),
            ("EventPath", kept.NO_OWNER),
            ("Attribution", decode.DANGLING),
        ],
        ("GetArtifactsByID", {"artifact_ids": [2]}, ""),
    ),
    "a node of a type of another kind": (
        "update Execution set type_id = 1",
        [
            ("Execution", decode.NO_TYPE),
            ("Event", decode.DANGLING),
            ("EventPath", kept.NO_OWNER),
            ("Association", decode.DANGLING),
        ],
        ("GetExecutions", {}, ""),
    ),
    "a negative id": (
        "update Artifact set id = -5 where id = 3",
        [("Artifact", kept.NO_ID)],
        ("GetArtifactsByID", {"artifact_ids": [-5]}, ""),
    ),
    "the last id there is": (
        "update Artifact set id = 9223372036854775807 where id = 3",
        [("Artifact", kept.HIGH_ID)],
        ("GetArtifactsByID", {"artifact_ids": [9223372036854775807]}, ""),
    ),
    "the last id there is, of a type": (
        "insert into Type (id, name, type_kind) values (9223372036854775807, 'Far', 1)",
        [("Type", kept.HIGH_ID)],
        ("GetArtifactTypesByID", {"type_ids": [9223372036854775807]}, ""),
    ),
    "a time that is none": (
        "update Artifact set create_time_since_epoch = 'soon' where id = 3",
        [("Artifact", decode.NO_TIME)],
        ("GetArtifactsByID", {"artifact_ids": [3]}, ""),
    ),
    "a context without name": (
        "update Context set name = '' where id = 2",
        [("Context", kept.NO_NAME)],
        ("GetContextsByID", {"context_ids": [2]}, "name == 'id 2'"),
    ),
    "an event of an unknown type": (
        "update Event set type = 99",
        [("Event", decode.NO_EVENT_TYPE), ("EventPath", kept.NO_OWNER)],
        ("GetEventsByExecutionIDs", {"execution_ids": [1]}, ""),
    ),
    "an event of no type": (
        "update Event set type = 0",
        [("Event", decode.NO_EVENT_TYPE), ("EventPath", kept.NO_OWNER)],
        ("GetEventsByExecutionIDs", {"execution_ids": [1]}, ""),
    ),
    "an event that dangles": (
        "update Event set artifact_id = 77",
        [("Event", decode.DANGLING), ("EventPath", kept.NO_OWNER)],
        ("GetEventsByExecutionIDs", {"execution_ids": [1]}, ""),
    ),
    "an event without a time": (
        "update Event set milliseconds_since_epoch = null",
        [("Event", decode.NO_EVENT_TIME)],
        ("GetEventsByExecutionIDs", {"execution_ids": [1]}, "milliseconds_since_epoch == 0"),
    ),
    "a step that is none": (
        "update EventPath set step_index = null",
        [("EventPath", decode.BAD_STEP)],
        ("GetEventsByExecutionIDs", {"execution_ids": [1]}, "path.steps == []"),
    ),
    "a step of no event": (
        "insert into EventPath values (77, 1, 3, null)",
        [("EventPath", kept.NO_OWNER)],
        ("GetEventsByExecutionIDs", {"execution_ids": [1]}, "path.steps[0].index == 4"),
    ),
    "an attribution that dangles": (
        "insert into Attribution (context_id, artifact_id) values (1, 77), (77, 1)",
        [("Attribution", decode.DANGLING)],
        ("GetArtifactsByContext", {"context_id": 1}, "id == 2"),
    ),
    "an association that dangles": (
        "insert into Association (context_id, execution_id) values (77, 1)",
        [("Association", decode.DANGLING)],
        ("GetContextsByExecution", {"execution_id": 1}, "id == 1"),
    ),
    "a parent that is not there": (
        "insert into ParentContext values (2, 77)",
        [("ParentContext", decode.DANGLING)],
        ("GetParentContextsByContext", {"context_id": 2}, "id == 1"),
    ),
    "a context that is its own parent": (
        "insert into ParentContext values (2, 2)",
        [("ParentContext", decode.TO_ITSELF)],
        ("GetParentContextsByContext", {"context_id": 2}, "id == 1"),
    ),
    "two types of one name": (
        "insert into Type (id, name, type_kind) values (9, 'Data', 1)",
        [("Type", decode_types.SAME_TYPE)],
        ("GetArtifactTypesByID", {"type_ids": [9]}, "version == 'id 9'"),
    ),
    "a type of no kind": (
        "insert into Type (id, name, type_kind) values (9, 'Data', 8)",
        [("Type", decode_types.NO_SUCH_KIND)],
        ("GetArtifactTypesByID", {"type_ids": [9]}, ""),
    ),
    "an empty version": (
        "update Type set version = '' where id = 1",
        [("Type", decode_types.EMPTY_VERSION)],
        ("GetArtifactType", {"type_name": "Data"}, "id == 1"),
    ),
    "an input type that is none": (
        "update Type set input_type = 'zz' where id = 2",
        [("Type", decode_types.BAD_SIGNATURE)],
        ("GetExecutionType", {"type_name": "Run"}, "HasField('input_type') == False"),
    ),
    "an unknown type of a property": (
        "update TypeProperty set data_type = 99 where name = 'i' and type_id = 1",
        [("TypeProperty", decode_types.NO_PROPERTY_TYPE), ("ArtifactProperty", decode.UNDECLARED)],
        ("GetArtifactsByID", {"artifact_ids": [1]}, "properties['i'].int_value == 1"),
    ),
    "a property of no type": (
        "insert into TypeProperty values (77, 'i', 1)",
        [("TypeProperty", kept.NO_OWNER)],
        ("GetArtifactType", {"type_name": "Data"}, "id == 1"),
    ),
    "a base type that is no system type": (
        "insert into Type (id, name, type_kind) values (9, 'Base', 1); insert into ParentType values (1, 9)",
        [("ParentType", decode_types.NOT_SYSTEM)],
        ("GetArtifactType", {"type_name": "Data"}, "HasField('base_type') == False"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_row_that_is_not_valid_is_kept_whole_and_the_rest_put(tmp_path: Path, case: str) -> None:
    sql, listed, (method, request, expected) = CASES[case]
    path = made(tmp_path / "metadata.db", sql)
    report = imported(path, tmp_path / "store")
    assert sorted(report.kept) == sorted(listed)
    assert_kept(path, tmp_path / "store", listed)
    engine = Engine(open_folder(tmp_path / "store"))
    check_store(engine, imported=True)
    answer = engine.call(METHODS[method], METHODS[method].request(**request))
    found = [one for field, value in answer.ListFields() for one in (value if hasattr(value, "__len__") else [value])]
    for one in found[:1]:
        assert expected, f"there should be nothing, and there is {one}"
        names = {name: getattr(one, name) for name in (*one.DESCRIPTOR.fields_by_name, "HasField")}
        assert eval(expected, {}, names), (expected, one)
    assert bool(found) == bool(expected)
    engine.close()
    again = imported(path, tmp_path / "store")
    assert (again.records, again.kept) == (0, report.kept)


def assert_kept(path: Path, place: Path, listed: list[tuple[str, str]]) -> None:
    """Fail unless the log holds each kept row as it stands in the database."""
    engine = Engine(open_folder(place))
    changes = [change for entry in engine.log.read(0) for change in entry.record.changes]
    engine.close()
    foreign = [change for change in changes if isinstance(change, ForeignRowKept)]
    assert {(one.table, one.why) for one in foreign} == set(listed)
    told_otherwise = (decode.UNDECLARED, decode.OTHER_TYPE)
    for one in foreign:
        if one.why not in told_otherwise and not (one.table == "EventPath" and "step" in one.row):
            there = rows_of(path, one.table)
            assert any(one.row.items() <= row.items() for row in there), (one, there)


def test_rows_that_share_what_should_be_their_own_are_put_without_it(tmp_path: Path) -> None:
    path = made(tmp_path / "metadata.db")
    connection = sqlite3.connect(path)
    for table in ("Artifact", "Context", "Event", "Attribution", "ParentContext"):
        unique = connection.execute("select sql from sqlite_master where name = ?", (table,)).fetchone()[0]
        names = [row[1] for row in connection.execute(f"pragma table_info({table})")]
        bare = ", ".join("id integer primary key" if name == "id" else name for name in names)
        assert "unique" in unique or "primary key" in unique
        connection.executescript(
            f"alter table {table} rename to old; create table {table} ({bare}); insert into {table} select * from old; drop table old"
        )
    connection.executescript(
        "update Artifact set name = 'same', external_id = 'x', type_id = 1; update Context set name = 'same', type_id = 3;"
        " insert into Event select 50, artifact_id, execution_id, type, 5 from Event;"
        " insert into Attribution select 50, context_id, artifact_id from Attribution;"
        " insert into ParentContext select * from ParentContext;"
        " insert into EventPath values (77, 1, 3, null), (77, 1, 3, null)"
    )
    connection.commit()
    connection.close()
    report = imported(path, tmp_path / "store")
    assert report.kept == {
        ("Artifact", decode.SAME_NAME): 2,
        ("Artifact", kept.SAME_EXTERNAL_ID): 2,
        ("Context", decode.SAME_NAME): 1,
        ("Event", decode.TWICE): 1,
        ("Attribution", decode.TWICE): 1,
        ("ParentContext", decode.TWICE): 1,
        ("EventPath", kept.NO_OWNER): 2,
    }
    assert imported(path, tmp_path / "store").records == 0
    engine = Engine(open_folder(tmp_path / "store"))
    check_store(engine, imported=True)
    changes = [change for entry in engine.log.read(0) for change in entry.record.changes]
    assert sum(isinstance(change, ForeignRowKept) for change in changes) == sum(report.kept.values())
    contexts = engine.call(METHODS["GetContexts"], METHODS["GetContexts"].request()).contexts
    assert [one.name for one in contexts] == ["same", "same (id 2)"]
    engine.close()


def test_many_kept_rows_and_many_batches_add_up(tmp_path: Path) -> None:
    number = BATCH_ROWS * 2 + 7
    path = made(
        tmp_path / "metadata.db",
        f"with recursive n(i) as (values (10) union all select i + 1 from n where i < {number})"
        " insert into Artifact select i, 1 + 98 * (i % 3 = 0), 'u' || i, 2, null, null, 5, 5 from n;"
        " insert into ArtifactProperty select id, 'i', 0, id, null, null, null, null, null from Artifact where id >= 10",
    )
    report = imported(path, tmp_path / "store")
    table = report.tables["Artifact"]
    left_out = sum(one % 3 == 0 for one in range(10, number + 1))
    assert (table.rows, table.new, table.kept) == (number - 6, number - 6 - left_out, left_out)
    assert report.kept == {("Artifact", decode.NO_TYPE): left_out, ("ArtifactProperty", kept.NO_OWNER): left_out}
    engine = Engine(open_folder(tmp_path / "store"))
    check_store(engine, imported=True)
    engine.close()
