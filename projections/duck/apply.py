"""Columns -> rows, many at a time: one statement for each kind of change, during which DuckDB needs no lock of Python.

Pure: the same records give the same rows, in batches of any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from projections.duck import arrow
from projections.duck.batch import RECORDS, VERSIONED
from projections.query import KINDS

if TYPE_CHECKING:
    import duckdb
    import nanoarrow

    from projections.duck.batch import Columns

_BATCH: Final = "batch"  # Under this name a statement finds the columns that it makes rows of.
_PLACE: Final = '"offset", make_timestamptz(time_us)'
_VERSION: Final = '"offset", null, make_timestamptz(time_us), null'


def _time(field: str) -> str:
    """Return the time of a number of milliseconds; before and after every calendar, the infinities."""
    bound = 9_223_372_000_000_000
    return (
        f"case when {field} > {bound} then 'infinity'::timestamptz when {field} < -{bound} then '-infinity'::timestamptz"
        f" else make_timestamptz({field} * 1000) end"
    )


def _json(field: str) -> str:
    return f"decode({field})::json"


def _insert(into: str, *columns: str) -> str:
    return f"insert into {into} select {', '.join(columns)} from {_BATCH}"


def _node(kind: str, *own: str) -> str:
    times = (_time("create_time_ms"), _time("update_time_ms"))
    properties = (f"nullif(decode({name}), '{{}}')::json::variant" for name in ("properties", "custom_properties"))
    return _insert(f"{kind}s", "id, type_name, type_id, name, external_id", *own, *times, *properties, _VERSION)


def _type(kind: str) -> str:
    properties = f"coalesce({_json('properties')}, '{{}}')::map(varchar, varchar)"
    forms = (f"{_json(field)}::variant" if kind == "execution" else "null" for field in ("input_type", "output_type"))
    fields = "name, version, description, external_id, base_type"
    return _insert("types", "id", f"'{kind}'", fields, properties, *forms, _VERSION)


_EVENT: Final = "id, artifact_id, execution_id, type, not type like '%INPUT'"
_INSERTS: Final = {
    RECORDS: _insert(
        "records", _PLACE, "actor, auth, application, host, pid, api, reason", "try_cast(transaction as uuid), changes"
    ),
    **{f"{kind}_type": _type(kind) for kind in KINDS},
    "artifact": _node("artifact", "uri", "state"),
    "execution": _node("execution", "state"),
    "context": _node("context"),
    "event": _insert("events", _EVENT, _time("time_ms"), f"time_ms, {_json('path')}::variant", _PLACE),
    "attribution": _insert("attributions", "context_id, artifact_id", _PLACE),
    "association": _insert("associations", "context_id, execution_id", _PLACE),
    "parent_context": _insert("parent_contexts", "id, parent_id, child_id", _PLACE),
}


def _close(table: str) -> str:
    """Return the statement that ends the versions which others, of the records from $1 on, replaced."""
    return f"""
update {table} set valid_to_offset = ended.to_offset, valid_to = ended.to_time
from (
    select id, valid_from_offset, lead(valid_from_offset) over later as to_offset, lead(valid_from) over later as to_time
    from {table}
    where valid_to_offset is null and id in (select id from {table} where valid_from_offset >= $1)
    window later as (partition by id order by valid_from_offset)
    qualify to_offset is not null
) ended
where {table}.id = ended.id and {table}.valid_from_offset = ended.valid_from_offset
"""


_CLOSES: Final = {table: _close(table) for table in VERSIONED}


class Known(NamedTuple):
    """What a view remembers of the records before a batch, so that nothing has to be looked up.

    None of it is wrong if a batch is rolled back: a type's name never changes, and ids that seem to have been put are looked up.
    """

    type_names: dict[int, str]  # By the id of the type.
    last_ids: dict[str, int]  # By table: what has a higher id was never put.


def load(connection: duckdb.DuckDBPyConnection, columns: Columns, known: Known) -> bool:
    """Turn a batch into rows, in the transaction that the caller holds; return whether types are among them.

    What is known grows by what is in the batch.
    """
    known.type_names.update(columns.type_names)
    for kind, table in columns.tables.items():
        connection.register(_BATCH, _with_type_names(table, known.type_names) if kind in KINDS else table)
        connection.execute(_INSERTS[kind]).fetchall()
        connection.unregister(_BATCH)  # Where the insert fails, that is what the caller's rollback does.
    for name, met in sorted(columns.met.items()):
        if not met.ascending or met.first <= known.last_ids[name]:
            connection.execute(_CLOSES[name], [columns.start]).fetchall()
        known.last_ids[name] = max(known.last_ids[name], met.highest)
    return bool(columns.type_names)


def _with_type_names(table: nanoarrow.Array, names: dict[int, str]) -> nanoarrow.Array:
    return arrow.with_texts(table, "type_name", [names.get(one) for one in arrow.numbers_of(table, "type_id")])


def known_of(connection: duckdb.DuckDBPyConnection) -> Known:
    """Return what there is to remember of a view."""
    names = connection.execute("select distinct id, name from types").fetchall()
    tops = [connection.execute(f"select coalesce(max(id), 0) from {table}").fetchall()[0][0] for table in VERSIONED]
    return Known(dict(names), dict(zip(VERSIONED, tops, strict=True)))
