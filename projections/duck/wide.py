"""One wide view for each registered type: `type_Model(id, name, uri, ..., accuracy, layers, custom_properties)`, as it is now.

A name of MLMD may be any text, DuckDB knows no upper and lower case in names, and several types may share a name. So the first type
that bears a name gets `type_<name>`; one that differs from it in kind, or in upper and lower case alone, `type_<name>_<kind>`, and if
that is taken too, `type_<name>_<id>`. All versions of a type are rows of one view. A property that is called like a field, or as
another but for upper and lower case, is the column `property_<name>`. Names once given stay, whatever is registered later: a type or
property that was there first is named first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

# Fields of a node that a view shows before the properties. `version` is that of the type.
_FIELDS: Final = {
    "artifact": ("id", "name", "uri", "state", "external_id", "create_time", "update_time"),
    "execution": ("id", "name", "state", "external_id", "create_time", "update_time"),
    "context": ("id", "name", "external_id", "create_time", "update_time"),
}
_LAST: Final = ("type_version", "custom_properties")
_SQL_TYPES: Final = {"INT": "bigint", "DOUBLE": "double", "STRING": "varchar", "BOOLEAN": "boolean"}
# By name and kind, the first first; of the properties, those that were declared first take their names first.
_TYPES: Final = """
with declared as (select kind, name, valid_from_offset, unnest(map_keys(properties)) as property from types),
known as (select kind, name, property, min(valid_from_offset) as since from declared group by all),
aged as (select kind, name, list(property order by since, property) as properties from known group by all)
select kind, name, list(id order by id), list(version order by id), list(t.properties order by id),
    coalesce(any_value(aged.properties), []), max(valid_from_offset)
from types t left join aged using (kind, name) where valid_to_offset is null group by kind, name order by min(id)
"""


def make_views(connection: duckdb.DuckDBPyConnection, since: int) -> None:
    """Make the views of types anew that were put by the record `since` or a later one."""
    names: set[str] = set()
    for kind, name, ids, versions, declared, properties, put in connection.execute(_TYPES).fetchall():
        view = free(names, f"type_{name}", f"type_{name}_{kind}", f"type_{name}_{ids[0]}")
        if put < since:
            continue
        columns = _columns(kind, ids, versions, _merged(declared, properties))
        selected = ", ".join(f"{value} as {quoted(column)}" for column, value, _ in columns)
        listed = ", ".join(map(str, ids))
        made = f"select {selected} from {kind}s where valid_to_offset is null and type_id in ({listed})"
        comment = f"The {kind}s of type {name} as they are now, a column for each property."
        statements = [
            f"create or replace view {quoted(view)} as {made}",
            f"comment on view {quoted(view)} is {literal(comment)}",
            *(
                f"comment on column {quoted(view)}.{quoted(column)} is {literal(of_column)}"
                for column, _, of_column in columns
            ),
        ]
        for statement in statements:
            connection.execute(statement).fetchall()


def _columns(
    kind: str, ids: list[int], versions: list[str | None], properties: dict[str, str]
) -> list[tuple[str, str, str]]:
    """Return name, value and comment of each column. properties: in the order in which they take their names."""
    fields = _FIELDS[kind]
    columns = [(field, field, f"{kind}s.{field}") for field in fields]
    taken = {*fields, *_LAST}
    named = {key: free(taken, *([key] if key else []), f"property_{key}") for key in properties}
    for key, declared in sorted(properties.items()):
        column, value = named[key], _as_declared(f"properties[{text(key)}]", declared)
        columns.append(
            (column, value, f"Property {key} of the type: {declared or 'not the same in all its versions'}.")
        )
    version = " ".join(f"when {number} then {text(name or '')}" for number, name in zip(ids, versions, strict=True))
    columns.append(
        (
            "type_version",
            f"nullif(case type_id {version} end, '')",
            "The version of the type; null where there is none.",
        )
    )
    columns.append(("custom_properties", "custom_properties", f"{kind}s.custom_properties"))
    return columns


def _as_declared(value: str, declared: str) -> str:
    """Return a property as the type that it was declared with, null where it cannot be; as it is where it was not declared as one."""
    sql_type = _SQL_TYPES.get(declared)
    if sql_type is None:
        return value
    cast = f"try_cast({value} as {sql_type})"
    if declared != "INT":
        return cast
    # DuckDB keeps numbers of which none is negative as UBIGINT: read as that they come whole vectors at a time, 50 times as fast.
    return f"coalesce(try_cast(try_cast({value} as ubigint) as bigint), {cast})"


def _merged(declared: Iterable[dict[str, str]], order: Iterable[str]) -> dict[str, str]:
    """Return the properties of all versions of a type, by name; one that they declare differently stays a variant."""
    merged: dict[str, str] = {}
    for properties in declared:
        for key, form in properties.items():
            merged[key] = form if merged.get(key, form) == form else ""
    return {key: merged[key] for key in order if key in merged}


def free(taken: set[str], *wanted: str) -> str:
    """Return the first of the names that nobody has, whatever its case, and take it; the last one with a number if all are taken."""
    candidates: Any = (*wanted, *(f"{wanted[-1]}_{number}" for number in range(2, len(taken) + 3)))
    name: str = next(one for one in map(_writable, candidates) if one.lower() not in taken)
    taken.add(name.lower())
    return name


def different(columns: Iterable[str]) -> list[str]:
    """Return the names of columns so that no two are the same, and none is empty."""
    taken: set[str] = set()
    return [free(taken, name or "column") for name in columns]


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as an expression of SQL; a NUL cannot stand in the text of a statement."""
    return " || chr(0) || ".join("'" + part.replace("'", "''") + "'" for part in value.split("\0"))


def literal(value: str) -> str:
    """Return a text as a literal of SQL."""
    return text(_writable(value))


def _writable(value: str) -> str:
    """Return a text that can stand in a statement, as a name or a literal."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
