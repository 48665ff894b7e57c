"""The tables of an MLMD database, schema versions 4 to 10, as the reference makes them.

A column is read if the database's version has it; else its value is what MLMD fills in when it upgrades such a database.
"""

from __future__ import annotations

from typing import Final, NamedTuple

VERSION_MIN: Final = 4  # Before it there were no contexts to belong to.
VERSION_MAX: Final = 10
VERSION_TABLE: Final = "MLMDEnv"


class Column(NamedTuple):
    """A column: since which version it is there, and what stands for it before, as SQL."""

    name: str
    since: int = VERSION_MIN
    before: str = "null"


class Table(NamedTuple):
    """A table and the columns that are read, in the order of a row. key: what rows are ordered and paged by."""

    name: str
    columns: tuple[Column, ...]
    since: int = VERSION_MIN
    key: str = "id"

    def position(self, column: str) -> int:
        """Return where a column stands in a row."""
        return [one.name for one in self.columns].index(column)


def _columns(names: str, *more: Column) -> tuple[Column, ...]:
    return (*(Column(name) for name in names.split()), *more)


_TIMES: Final = (
    Column("create_time_since_epoch", 5, "0"),
    Column("last_update_time_since_epoch", 5, "0"),
)
_VALUES: Final = (Column("byte_value", 7), Column("proto_value", 10), Column("bool_value", 10))


def _properties(kind: str) -> Table:
    names = f"{kind}_id name is_custom_property int_value double_value string_value"
    return Table(f"{kind.capitalize()}Property", _columns(names, *_VALUES), key=f"{kind}_id")


TYPE: Final = Table(
    "Type",
    _columns(
        "id name type_kind input_type output_type",
        Column("version", 6),
        Column("description", 6),
        Column("external_id", 9),
    ),
)
TYPE_PROPERTY: Final = Table("TypeProperty", _columns("type_id name data_type"), key="type_id, name")
PARENT_TYPE: Final = Table("ParentType", _columns("type_id parent_type_id"), since=6, key="type_id, parent_type_id")
# The first six columns are the same for every kind of node.
NODES: Final = {
    "artifact": Table(
        "Artifact",
        _columns("id type_id", Column("name", 5), Column("external_id", 9), *_TIMES, Column("state", 5), Column("uri")),
    ),
    "execution": Table(
        "Execution",
        _columns("id type_id", Column("name", 5), Column("external_id", 9), *_TIMES, Column("last_known_state", 5)),
    ),
    "context": Table("Context", _columns("id type_id name", Column("external_id", 9), *_TIMES)),
}
PROPERTIES: Final = {kind: _properties(kind) for kind in NODES}
EVENT: Final = Table("Event", _columns("id artifact_id execution_id type milliseconds_since_epoch"))
EVENT_PATH: Final = Table("EventPath", _columns("event_id is_index_step step_index step_key"), key="event_id")
ATTRIBUTION: Final = Table("Attribution", _columns("id context_id artifact_id"))
ASSOCIATION: Final = Table("Association", _columns("id context_id execution_id"))
PARENT_CONTEXT: Final = Table(
    "ParentContext", _columns("context_id parent_context_id"), since=6, key="context_id, parent_context_id"
)

TABLES: Final = (
    *(TYPE, TYPE_PROPERTY, PARENT_TYPE),
    *NODES.values(),
    *PROPERTIES.values(),
    *(EVENT, EVENT_PATH, ATTRIBUTION, ASSOCIATION, PARENT_CONTEXT),
)
