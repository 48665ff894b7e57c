"""The state of a store as its serving view gives it: what its bodies answer, read back. See `projections.state`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evlog.records import AssociationPut, AttributionPut, ParentContextPut
from projections.query import KINDS
from projections.sqlite.past import SEQ_BITS
from projections.state import State, row_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import apsw

    from evlog.records import Change, NodePut, TypePut
    from projections.sqlite.apply import Bodies


def state_of(connection: apsw.Connection, bodies: Bodies) -> State:
    """Return the state. The caller holds a transaction: one moment for all tables. Raises what `bodies` do of one that is none."""
    state = State()
    for change, since, until in _versions(connection, bodies):
        found = row_of(change, since)
        assert found is not None, "a view has no remarks"
        if until is None:
            state.add(found)
        else:
            state.end(found, until)
    for edge, since in _edges(connection, bodies):
        found = row_of(edge, since)
        assert found is not None, "as above"
        state.add(found)
    return state


def _versions(connection: apsw.Connection, bodies: Bodies) -> Iterator[tuple[TypePut | NodePut, int, int | None]]:
    """Yield every version of types and nodes, with the offset that put it and the one that replaced it, None while it holds."""
    for table in ("type", *KINDS):
        kind = "kind" if table == "type" else f"'{table}'"
        for until, past in (("null", ""), ("until", "_past")):
            rows: Any = connection.execute(f"select {kind}, body, since, {until} from {table}{past}")
            for kind_name, body, since, ended in rows:
                of_body = bodies.type_of if table == "type" else bodies.node_of
                yield of_body(kind_name, body), since, ended


def _edges(connection: apsw.Connection, bodies: Bodies) -> Iterator[tuple[Change, int]]:
    rows: Any = connection.execute("select id, body, since from event")
    for event_id, body, since in rows:
        yield bodies.event_of(event_id, body), since
    rows = connection.execute(f"select context_id, artifact_id, seq >> {SEQ_BITS} from attribution")
    for context_id, artifact_id, since in rows:
        yield AttributionPut(context_id, artifact_id), since
    rows = connection.execute(f"select context_id, execution_id, seq >> {SEQ_BITS} from association")
    for context_id, execution_id, since in rows:
        yield AssociationPut(context_id, execution_id), since
    rows = connection.execute("select id, parent_id, child_id, since from parent_context")
    for link_id, parent_id, child_id, since in rows:
        yield ParentContextPut(link_id, parent_id, child_id), since
