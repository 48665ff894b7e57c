"""Indexes of properties, made when they pay.

Properties lie in one JSONB column of the node: cheap to put, and a filter that finds enough in the first nodes needs no more. One that
searches far is noted with the time it took. When a property has cost about what its index costs, the index is made: so whatever is
asked for, no more than twice the best is spent. An index belongs to the view; a rebuild makes those anew that the view before had.
Few are known to pay from the first node on: HOT. Every view has those, empty where nobody puts such a property.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from projections.sqlite.expressions import property_expression

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from projections.query import Kind

# What making an index costs: measured at 0.8 us a node, and the pause of those who put.
INDEX_S: Final = 0.05
INDEX_S_PER_NODE: Final = 1e-6
INDEXES_MAX: Final = 32  # Of a kind; each makes every put a little slower.


class Property(NamedTuple):
    """A property of the nodes of one kind. column: "properties" or "custom_properties"."""

    kind: Kind
    column: str
    key: str


# By what the recorder finds a run again, and the versions of a name: mlmd/recorder/words.py.
HOT: Final = (
    Property("execution", "custom_properties", "evlog.key"),
    Property("artifact", "custom_properties", "evlog.name"),
)


class Indexes:
    """Which properties of a view have an index, and what filters have cost that lacked one. Shared by the view's threads."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._seconds: dict[Property, float] = {}
        self._news = False
        self._known: dict[Kind, tuple[int, frozenset[tuple[str, str]]]] = {}

    def known(self, connection: apsw.Connection, kind: Kind) -> frozenset[tuple[str, str]]:
        """Return the (column, key) of the properties of a kind that have an index; another process may make one at any time."""
        rows: Any = connection.execute("pragma schema_version").fetchall()
        version = rows[0][0]
        known = self._known.get(kind)
        if known is None or known[0] != version:
            known = self._known[kind] = (version, indexed(connection, kind))
        return known[1]

    def add(self, kind: Kind, properties: Iterable[tuple[str, str]], seconds: float) -> None:
        """Note what one search cost."""
        with self._guard:
            for column, key in properties:
                wanted = Property(kind, column, key)
                self._seconds[wanted] = self._seconds.get(wanted, 0.0) + seconds
                self._news = True

    def dear(self) -> list[Property]:
        """Return the properties that may have cost as much as an index, the dearest first; none where nothing was noted since."""
        if not self._news:
            return []
        with self._guard:
            self._news = False
            dear = [one for one, seconds in self._seconds.items() if seconds >= INDEX_S]
            return sorted(dear, key=lambda one: -self._seconds[one])

    def seconds(self, wanted: Property) -> float:
        """Return what a property has cost."""
        return self._seconds.get(wanted, 0.0)

    def forget(self, wanted: Property) -> None:
        """Begin anew with a property."""
        with self._guard:
            self._seconds.pop(wanted, None)


def _prefix(kind: str, column: str) -> str:
    return f"{kind}_{column}_"


def indexed(connection: apsw.Connection, kind: Kind) -> frozenset[tuple[str, str]]:
    """Return the (column, key) of the properties of a kind that have an index."""
    found = set()
    for column in ("properties", "custom_properties"):
        prefix = _prefix(kind, column)
        names: Any = connection.execute(
            "select name from sqlite_schema where type = 'index' and name >= ? and name < ?", (prefix, prefix + "g")
        )
        found |= {(column, bytes.fromhex(name[len(prefix) :]).decode()) for (name,) in names.fetchall()}
    return frozenset(found)


def paid(connection: apsw.Connection, kind: Kind) -> list[Property]:
    """Return the properties that have an index because filters by them have cost as much: every view has those that are HOT."""
    found = [Property(kind, column, key) for column, key in sorted(indexed(connection, kind))]
    return [one for one in found if one not in HOT]


def create_index(connection: apsw.Connection, wanted: Property) -> None:
    """Make the index of a property, of what it is now and of what it was, unless it is there."""
    value = property_expression(wanted.column, wanted.key)
    # A version that did not hold is passed over without its row.
    for kind, held in ((f"{wanted.kind}_past", ", id, until, since"), (wanted.kind, "")):
        name = _prefix(kind, wanted.column) + wanted.key.encode().hex()
        connection.execute(f'create index if not exists "{name}" on {kind} ({value}{held}) where ({value}) is not null')


def worth_an_index(connection: apsw.Connection, wanted: Property, seconds: float) -> bool:
    """Tell whether an index of a property costs no more than searching without it did."""
    rows: Any = connection.execute(f"select coalesce(max(id), 0) from {wanted.kind}").fetchall()
    if seconds < INDEX_S + INDEX_S_PER_NODE * rows[0][0]:
        return False
    return len(paid(connection, wanted.kind)) < INDEXES_MAX
