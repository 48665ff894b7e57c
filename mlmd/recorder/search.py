"""Find runs and artifacts: by a filter in the short language (see `mlmd.filters.short`), in any order; by a text in any of their words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from mlmd.display.tables import Table
from mlmd.errors import InvalidArgumentError
from mlmd.filters.query import filter_query as checked
from mlmd.filters.short import MARK, marked, property_named
from mlmd.finding import FIND, Find
from mlmd.kinds import EXECUTION
from mlmd.mentions import MENTIONS, Mention, Mentioning
from mlmd.recorder.rows import rows_of
from mlmd.recorder.standing import NOT_GOING, NOT_TAINTED
from mlmd.recorder.things import LOST, Artifact, Run, is_lost
from mlmd.recorder.values import quoted, text_of
from projections.query import OrderBy, Variable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from mlmd.finding import Found
    from mlmd.kinds import Node
    from mlmd.store import MetadataStore
    from projections.query import Kind as KindName

_ORDERS: Final = {"id": OrderBy.ID, "created": OrderBy.CREATE_TIME, "updated": OrderBy.UPDATE_TIME}
STATES: Final = (*(name for name in EXECUTION.states.values() if name != "UNKNOWN"), LOST)
"""In which a run is shown."""
_PAGE: Final = 500
_SHOWN: Final = 20  # Rows of what is printed.
_KEYS_SHOWN: Final = 8
_TEXT_MAX: Final = 1_000
_LIMIT_MAX: Final = 10_000


# Filters ---------------------------------------------------------------------------------------------------------------


def filter_text(kind: KindName, text: str = "", *more: str, types: Collection[str] | str | None = None) -> str:
    """Return a filter in the short language, and whatever else must hold, as any method takes it; "" for no condition.

    more: conditions in the same language; types: names, of which the node's is one. Raises InvalidArgumentError that says what is wrong
    with the text, where, and what there is instead.
    """
    if not isinstance(text, str):
        raise InvalidArgumentError(f"a filter is a text such as 'm.acc > 0.9', not {text!r}")
    if text.strip():
        checked(kind, marked(text))  # By itself, so that a place it points at is one in this text.
    conditions = [f"({text}\n)" if text.strip() else "", *more]
    if types is not None:
        names = [types] if isinstance(types, str) else list(types)
        conditions.append(f"type IN ({', '.join(map(quoted, names))})" if names else "FALSE")
    return marked(" AND ".join(filter(None, conditions)))


def every(store: MetadataStore, kind: KindName, filter: str = "") -> Iterator[Node]:
    """Yield every node of a kind, by ascending id, a page at a time. filter: of `filter_text`."""
    last: int | None = None
    while True:
        text = filter_text(kind, filter.removesuffix(MARK), *([] if last is None else [f"id > {last}"]))
        nodes = store.answer(FIND, Find(kind, text, limit=_PAGE)).nodes
        yield from nodes
        if len(nodes) < _PAGE:
            return
        last = nodes[-1].id


def order_of(kind: KindName, sort: str) -> tuple[OrderBy | Variable, bool]:
    """Return what an order is by, and whether it ascends: "m.acc", "-m.acc", "created", "-updated", "id". Raises InvalidArgumentError."""
    name = sort.removeprefix("-") if isinstance(sort, str) else ""
    by = _ORDERS.get(name) or property_named(kind, name)
    if by is None:
        own = "m.KEY, p.KEY, t.KEY" if kind == "execution" else "a custom property"
        raise InvalidArgumentError(
            f"{sort!r} is no order: {own}, {', '.join(_ORDERS)}; the highest first with a minus: -created"
        )
    return by, not sort.startswith("-")


# Runs ------------------------------------------------------------------------------------------------------------------


class Runs(Sequence[Run]):
    """Runs that a filter leaves, in an order: nothing is read before it is asked for. A slice is one page, len() the true total.

    As a table (`table`, `df`, `arrow`, `polars`, `markdown`, in a notebook) each has the parameters, metrics and tags in which they differ.
    """

    def __init__(self, store: MetadataStore, filter: str, by: OrderBy | Variable, *, ascending: bool) -> None:
        self._store, self._asked = store, Find("execution", filter, by, ascending)
        self._total: int | None = None

    def __len__(self) -> int:
        """Return how many there are in all."""
        if self._total is None:
            self._total = self.page(0, 0).total or 0
        return self._total

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        """Return one run, or those of a slice."""
        if isinstance(index, slice):
            return [Run(self._store, one) for one in self._slice(index)]
        at = index if index >= 0 else len(self) + index
        found = self._read(at, 1).nodes if at >= 0 else []
        if not found:
            raise IndexError(f"there is no run {index}: there are {len(self):,}")
        return Run(self._store, found[0])

    def __iter__(self) -> Iterator[Run]:
        """Yield all, page by page."""
        skip = 0
        while nodes := self._read(skip, _PAGE).nodes:
            yield from (Run(self._store, one) for one in nodes)
            skip += len(nodes)

    def _slice(self, wanted: slice) -> list[Node]:
        plain = wanted.step in (None, 1) and (wanted.start or 0) >= 0
        if plain and wanted.stop is None:
            return self._read(wanted.start or 0, None).nodes
        if plain and wanted.stop >= 0:
            return self._read(wanted.start or 0, max(0, wanted.stop - (wanted.start or 0))).nodes
        start, stop, step = wanted.indices(len(self))
        low, high = (start, stop) if step > 0 else (stop + 1, start + 1)
        found = self._read(low, max(0, high - low)).nodes
        return found[::step]

    def page(self, skip: int, limit: int | None) -> Found:
        """Return some of them as messages, and how many there are in all, with the filter and without."""
        return self._read(skip, limit, counted=True)

    @property
    def sorted_by(self) -> list[str]:
        """Return the property that they are in order of, if it is one."""
        by = self._asked.by
        return [by.name] if isinstance(by, Variable) else []

    def _read(self, skip: int, limit: int | None, *, counted: bool = False) -> Found:
        found: Found = self._store.answer(FIND, self._asked._replace(skip=skip, limit=limit, counted=counted))
        if found.total is not None:
            self._total = found.total
        return found

    def table(
        self, limit: int | None = None, columns: Iterable[str] | None = None, *, keys_max: int | None = None
    ) -> Table:
        """Return a table of the first runs.

        limit: how many, None for all; columns: of properties, by name ("m.acc"); None for those that differ, keys_max at most.
        """
        started = time.perf_counter()
        found = self.page(0, limit)
        wanted = list(columns) if columns is not None else None
        table = rows_of(self._store, found.nodes, wanted, self.sorted_by, keys_max).table
        note = f"{len(found.nodes):,} of {found.total:,} {'matching' if self._asked.filter else 'runs'}"
        if self._asked.filter and found.everything is not None:
            note += f", {found.everything:,} runs"
        return Table(table.columns, table.rows, f"{note}, {(time.perf_counter() - started) * 1000:.1f} ms")

    def df(self) -> Any:
        """Return a pandas.DataFrame of all. Raises MissingLibraryError."""
        return self.table().df()

    def arrow(self) -> Any:
        """Return a pyarrow.Table of all. Raises MissingLibraryError."""
        return self.table().arrow()

    def polars(self) -> Any:
        """Return a polars.DataFrame of all. Raises MissingLibraryError."""
        return self.table().polars()

    def markdown(self) -> str:
        """Return the first ones as a table of Markdown."""
        return self._shown().markdown()

    def __repr__(self) -> str:
        """Return the first ones as aligned columns."""
        return str(self._shown())

    def _repr_html_(self) -> str:
        return self._shown()._repr_html_()

    def _shown(self) -> Table:
        return self.table(_SHOWN, keys_max=_KEYS_SHOWN)


def runs(
    store: MetadataStore,
    filter: str = "",
    *,
    state: str | None = None,
    sort: str = "-created",
    types: Collection[str] | str | None = None,
) -> Runs:
    """Return the runs that a filter leaves: 'type = "Trainer" and m.acc > 0.9 and not tainted', in an order: "-m.acc".

    state: that they are shown in: of those that say RUNNING, LOST are those whose process has gone. types: names of
    types. Those without the property that is sorted by come last. Raises InvalidArgumentError.
    """
    by, ascending = order_of("execution", sort)
    more = [] if state is None else [_shown_in(store, state)]
    return Runs(store, filter_text("execution", filter, *more, types=types), by, ascending=ascending)


def _shown_in(store: MetadataStore, state: str) -> str:
    """Return the condition that a run is shown in a state. Raises InvalidArgumentError."""
    if state not in STATES:
        raise InvalidArgumentError(f"state: {state!r} is none: {', '.join(STATES)}")
    if state not in ("RUNNING", LOST) or (state == "RUNNING" and store.is_past):
        return f"state = {state}"
    if store.is_past:
        raise InvalidArgumentError("LOST is told of now alone: ask for RUNNING, which such a run was then")
    # Nothing of this is stored, so whoever runs is looked at: few are, in any store.
    lost = [str(one.id) for one in every(store, "execution", "state = RUNNING") if is_lost(one)]
    listed = f"id IN ({', '.join(lost)})" if lost else "FALSE"
    return f"state = RUNNING AND {'' if state == LOST else 'NOT '}({listed})"


def latest(
    store: MetadataStore,
    type: str,
    filter: str = "",
    *,
    name: str | None = None,
    even: bool = False,
) -> Artifact | None:
    """Return the artifact of a type that was made last, of those that a filter leaves; None where there is none.

    name: of which it is a version. Skips what is tainted, marked for deletion, deleted or abandoned, unless `even` that will do.
    Raises InvalidArgumentError.
    """
    more = [f"type = {quoted(text_of(type, 'type of the artifact'))}"]
    if name is not None:
        more.append(f"evlog.name = {quoted(name)}")
    if not even:
        more += [NOT_TAINTED, NOT_GOING]
    found = store.answer(FIND, Find("artifact", filter_text("artifact", filter, *more), ascending=False, limit=1))
    return Artifact(store, found.nodes[0]) if found.nodes else None


def search(store: MetadataStore, text: str, *, limit: int = 20) -> list[Mention]:
    """Return the artifacts, runs and contexts that have a text in their name, uri or properties, best first.

    ASCII letters may be of either case. Every node is looked at. Raises InvalidArgumentError.
    """
    text_of(text, "the text to search", longest=_TEXT_MAX)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= _LIMIT_MAX:
        raise InvalidArgumentError(f"limit: {limit!r}: from 1 to {_LIMIT_MAX:,}")
    found: list[Mention] = store.answer(MENTIONS, Mentioning(text, limit))
    return found
