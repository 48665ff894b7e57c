"""`mlmd.sql`: questions in SQL to the store at hand, answered as a relation of DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlmd import errors
from mlmd.engine import Engine
from mlmd.moment import at as at_of
from mlmd.past import Past
from projections.duck.reading import look_at, open_view
from projections.errors import ViewError
from replay.analytics import READER_PATIENCE_S, bring_up, in_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlmd.moment import At
    from mlmd.store import MetadataStore
    from projections.duck.database import Connection, Relation


def sql(
    store: MetadataStore,
    query: str,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    at: At | str | None = None,
) -> Relation:
    """Return the answer to a question, every version of everything ever put being at hand: docs/sql.md says under which names.

    The relation is worked out when it is asked for: `.fetchall()`, `.to_arrow_table()`, `.df()`, `.pl()`. It reads the store as it is
    now, after the last put, and keeps doing so however long it is held; nobody waits for it. params: for $name, or a sequence for $1.
    at: every name as it was known at a moment, as in `MetadataStore.as_of`; a store of the past is asked as of its moment.

    A store in memory is read into a view in memory, each time. Raises UnimplementedError for a store on a server,
    InvalidArgumentError for what is no moment and OutOfRangeError for one that is yet to come, duckdb.Error for what is no SQL.
    """
    engine, offset = _engine_of(store)
    if at is not None:
        try:
            wanted = engine.offset_at(at_of(at))
        except ValueError as error:
            raise errors.InvalidArgumentError(str(error)) from None
        if offset is not None and wanted > offset:
            raise errors.OutOfRangeError(f"#{wanted} is after the moment of this store, #{offset}")
        offset = wanted
    try:
        connection = _connection(engine, offset)
    except ViewError as error:
        raise errors.status_error(error) from error
    return connection.sql(query, params=params)


def _engine_of(store: MetadataStore) -> tuple[Engine, int | None]:
    """Return the engine of a store, and as of which offset it answers. Raises UnimplementedError where there is none."""
    backend = store._backend  # noqa: SLF001 - one face of the same house
    if isinstance(backend, Engine):
        return backend, None
    if isinstance(backend, Past):
        return backend.engine, backend.offset
    raise errors.UnimplementedError(
        "a server answers no SQL: open the store's folder, where the server runs, and ask that"
    )


def _connection(engine: Engine, at: int | None) -> Connection:
    if engine.views is None:
        connection = in_memory(engine.log).release()
        if at is not None:
            look_at(connection, at)
        return connection
    views = Path(engine.views)
    bring_up(engine.log, views)
    return open_view(views, at=at, patience_s=READER_PATIENCE_S).connection
