"""Values and names in the analytics view: each value keeps its type, each type has a wide view, whatever they are called."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

import msgspec
import records
from duck import NODE, history, rows

from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import ArtifactTypePut, ContextTypePut, EventPut, ExecutionPut, ExecutionTypePut, Proto, Struct
from projections.duck import wide
from replay import bring_up
from replay.analytics import in_memory

if TYPE_CHECKING:
    from projections.duck.view import HistoryView


def values_of(*properties: Any) -> list[tuple[Any, ...]]:
    """Return what becomes of properties: for each the value and its type in the view."""
    view = history(
        records.types(),
        *(records.record(records.artifact(number, properties={"v": value})) for number, value in enumerate(properties)),
    )
    try:
        found = rows(view, "select (properties.v)::json, variant_typeof(properties.v) from artifacts order by id")
        return [(json.loads(text), form) for text, form in found]  # Python's parser reads NaN and Infinity as they are.
    finally:
        view.close()


# Values -----------------------------------------------------------------------------------------------------------------


def test_a_value_keeps_the_type_it_was_put_with() -> None:
    numbers = [0, 7, 2**63 - 1, -(2**63)]
    assert [(value, type(value)) for value, _ in values_of(*numbers)] == [(number, int) for number in numbers]
    doubles = [1.0, -0.0, 0.1, 1e300, 5e-324, math.inf, -math.inf]
    assert [(repr(value), form) for value, form in values_of(*doubles)] == [(repr(one), "DOUBLE") for one in doubles]
    ((nan, form),) = values_of(math.nan)
    assert (math.isnan(nan), form) == (True, "DOUBLE")
    assert values_of(*[True, False]) == [(True, "BOOL_TRUE"), (False, "BOOL_FALSE")]
    texts = ["", "null", "NaN", "1", "a\nb", "\0", "\u2028", "🦆", '"t":"struct"']
    assert values_of(*texts) == [(text, "VARCHAR") for text in texts]


def test_where_there_are_no_properties_there_is_null_whatever_stands_beside_it() -> None:
    for beside in (1, math.nan, Struct({}), "null"):
        view = history(
            records.types(),
            records.record(
                records.artifact(1, properties={}),
                records.artifact(2, properties={"v": beside}, custom_properties={"{}": "{}"}),
            ),
        )
        found = rows(view, "select properties is null, custom_properties is null from artifacts order by id")
        assert found == [(True, True), (False, False)], beside
        view.close()


def test_a_struct_is_an_object_and_a_proto_an_array() -> None:
    fields = {"a": 1.0, "A": [None, "x", {"": math.inf}], "t": "struct", "unset": msgspec.msgpack.Ext(0, b"")}
    ((struct, struct_form), (proto, proto_form)) = values_of(Struct(fields), Proto("type/X", b"\0\xff"))
    assert struct == {**fields, "unset": None}
    assert struct_form.startswith("OBJECT")
    assert (proto, proto_form) == (["type/X", base64.b64encode(b"\0\xff").decode()], "ARRAY(2)")


def test_names_of_properties_are_taken_as_they_are() -> None:
    names = {"a": 1, "A": 2, "a.b": 3, "": 4, 'q"q': 5, "it's": 6, "a\0b": 7, " ": 8, "t": "artifact", "\n": 9}
    view = history(records.types(), records.record(records.artifact(1, custom_properties=names)))
    ((text,),) = rows(view, "select custom_properties::json from artifacts")
    assert json.loads(text) == names
    assert rows(
        view, "select custom_properties.A, custom_properties['a'], custom_properties['a.b'] from artifacts"
    ) == [(2, 1, 3)]
    view.close()


def test_a_time_beyond_every_calendar_is_kept_as_a_number() -> None:
    view = history(
        records.types(),
        records.record(
            records.artifact(1, create_time_ms=2**63 - 1),
            ExecutionPut(id=1, type_id=2, **NODE),
            EventPut(id=1, artifact_id=1, execution_id=1, type="INPUT", time_ms=-(2**63)),
        ),
    )
    assert rows(view, "select isinf(create_time) and create_time > now() from artifacts") == [(True,)]
    assert rows(view, "select isinf(time) and time < now(), time_ms from events") == [(True, -(2**63))]
    view.close()


# Wide views -------------------------------------------------------------------------------------------------------------


def test_a_type_has_a_view_with_a_column_for_each_property() -> None:
    declared = {
        "layers": "INT",
        "acc": "DOUBLE",
        "note": "STRING",
        "prod": "BOOLEAN",
        "conf": "STRUCT",
        "proto": "PROTO",
    }
    put = {"layers": 3, "acc": 0.5, "note": "x", "prod": True, "conf": Struct({"k": 1.0})}
    view = history(
        records.record(ArtifactTypePut(id=1, name="Model", properties=declared)),
        records.record(records.artifact(1, name="old", properties={"layers": 1})),
        records.record(records.artifact(1, name="m", properties=put, custom_properties={"tag": "red"})),
    )
    assert rows(view, "select name, layers, acc, note, prod, conf, proto, custom_properties.tag from type_Model") == [
        ("m", 3, 0.5, "x", True, {"k": 1.0}, None, "red")
    ]
    forms = dict(rows(view, "select column_name, data_type from duckdb_columns() where table_name = 'type_Model'"))
    assert [forms[name] for name in declared] == ["BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN", "VARIANT", "VARIANT"]
    view.close()


def test_an_int_in_the_view_of_its_type_is_exact() -> None:
    numbers = [0, 7, -1, 2**53 + 1, 2**63 - 1, -(2**63)]
    others = {2.5: 2, -1.5: -2, "12": 12, "-12": -12, str(2**64 - 1): None, "x": None, 1e19: None, math.nan: None}
    put = [*numbers, *others, True, None]
    view = history(
        records.record(ArtifactTypePut(id=1, name="N", properties={"n": "INT"})),
        *(
            records.record(records.artifact(number, properties={} if value is None else {"n": value}))
            for number, value in enumerate(put, 1)
        ),
    )
    found = [value for (value,) in rows(view, "select n from type_N order by id")]
    assert found == [*numbers, *others.values(), 1, None]
    assert rows(view, "select try_cast(properties.n as bigint) from artifacts order by id") == [(one,) for one in found]
    view.close()


def test_a_view_follows_its_type() -> None:
    log = Log.open(MemoryFolder(), create=True)
    records.append(log, [records.types(), records.record(records.artifact(1, properties={"number": 1, "more": 2}))])
    view = in_memory(log, log.end)
    assert rows(
        view, "select count(*) from duckdb_columns() where table_name = 'type_Data' and column_name = 'more'"
    ) == [(0,)]
    records.append(
        log, [records.record(ArtifactTypePut(id=1, name="Data", properties={"number": "INT", "more": "INT"}))]
    )
    records.append(
        log, [records.record(ArtifactTypePut(id=4, name="Data", version="2", properties={"more": "STRING"}))]
    )
    records.append(log, [records.record(records.artifact(2, type_id=4, properties={"more": "x"}))])
    bring_up(log, view, log.end)
    assert rows(view, "select id, number, more, type_version from type_Data order by id") == [
        (1, 1, 2, None),
        (2, None, "x", "2"),
    ]
    view.close()


def test_a_property_that_comes_later_takes_no_column_of_another() -> None:
    kept = {"acc": "DOUBLE", "Uri": "STRING"}
    more = {"ACC": "STRING", "property_Uri": "STRING", "URI": "STRING", "Lr": "INT"}
    put = {"acc": 0.5, "Uri": "u", "ACC": "x", "property_Uri": "p", "URI": "v", "Lr": 1}
    view = history(
        records.record(ArtifactTypePut(id=1, name="M", properties=kept)),
        records.record(ArtifactTypePut(id=1, name="M", properties=more | kept)),
        records.record(ArtifactTypePut(id=1, name="M", properties=more | kept | {"LR": "INT"})),
        records.record(records.artifact(1, properties=put | {"LR": 2})),
    )
    assert rows(view, "select acc, property_Uri, Lr, property_ACC, property_LR from type_M") == [(0.5, "u", 1, "x", 2)]
    assert rows(view, "select property_property_Uri, property_URI_2 from type_M") == [("p", "v")]
    view.close()


HOSTILE = ['a"; drop table artifacts; --', "a.b", "", " ", "é\n", "select", "x\0y", "type_A", "a" * 500, "it's"]


def test_names_of_types_and_properties_may_be_anything() -> None:
    types = [
        ArtifactTypePut(id=number + 1, name=name, properties=dict.fromkeys(HOSTILE, "INT"))
        for number, name in enumerate(HOSTILE)
    ]
    nodes = [
        records.artifact(number + 1, type_id=number + 1, properties=dict.fromkeys(HOSTILE, number))
        for number in range(len(HOSTILE))
    ]
    view = history(records.record(*types), records.record(*nodes))
    views = [name for (name,) in rows(view, "select view_name from duckdb_views() where not internal")]
    assert sorted(views) == sorted(f"type_{name}".replace("\0", "�") for name in HOSTILE)
    for number, name in enumerate(HOSTILE):
        quoted = wide.quoted(f"type_{name}".replace("\0", "�"))
        assert rows(view, f"select list_distinct([{', '.join(_properties(view, quoted))}]) from {quoted}") == [
            ([number],)
        ]
    assert rows(view, "select count(*) from artifacts") == [(len(HOSTILE),)]
    view.close()


def _properties(view: HistoryView, quoted: str) -> list[str]:
    fields = {
        "id",
        "name",
        "uri",
        "state",
        "external_id",
        "create_time",
        "update_time",
        "type_version",
        "custom_properties",
    }
    columns = [column[0] for column in view.connection.execute(f"from {quoted}").description]
    view.connection.execute(f"from {quoted}").fetchall()
    return [wide.quoted(column) for column in columns if column not in fields]


def test_names_that_meet_are_told_apart_and_stay_as_they_were_given() -> None:
    def names(*types: Any) -> list[tuple[str, list[str]]]:
        view = history(*(records.record(one) for one in types))
        try:
            return [
                (
                    name,
                    [
                        column
                        for (column,) in rows(
                            view,
                            "select column_name from duckdb_columns() where table_name = $1 order by column_index",
                            name,
                        )
                    ],
                )
                for (name,) in rows(view, "select view_name from duckdb_views() where not internal order by view_oid")
            ]
        finally:
            view.close()

    properties = {
        "ID": "INT",
        "Uri": "INT",
        "x": "INT",
        "X": "INT",
        "property_id": "INT",
        "type_version": "INT",
        "": "INT",
    }
    first = [ArtifactTypePut(id=1, name="Data", properties=properties), ExecutionTypePut(id=2, name="data")]
    later = [
        ContextTypePut(id=3, name="DATA"),
        ArtifactTypePut(id=4, name="daTa"),
        ArtifactTypePut(id=5, name="data_execution"),
        ArtifactTypePut(id=6, name="DATA_ARTIFACT"),
    ]
    assert [name for name, _ in names(*first, *later)] == [
        "type_Data", "type_data_execution", "type_DATA_context", "type_daTa_artifact", "type_data_execution_artifact",
        "type_DATA_ARTIFACT_artifact",
    ]  # fmt: skip
    assert names(*first, *later)[:2] == names(*first)
    assert names(*first)[0][1] == [
        "id", "name", "uri", "state", "external_id", "create_time", "update_time",
        "property_", "property_ID", "property_Uri", "X", "property_property_id", "property_type_version", "property_x",
        "type_version", "custom_properties",
    ]  # fmt: skip
