"""Runs as rows of a table: what they are, the parameters, metrics and tags in which they differ, what they read and made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlmd.display.cells import time_of
from mlmd.display.tables import Table
from mlmd.kinds import INPUTS
from mlmd.names import name_of
from mlmd.recorder import words
from mlmd.recorder.aliases import label_of
from mlmd.recorder.standing import is_tainted
from mlmd.recorder.things import Run
from mlmd.recorder.values import python_of
from replay.things import same

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlmd.kinds import Node
    from mlmd.store import MetadataStore

_RANKS: Final = (words.METRIC, words.PARAMETER, "", words.TAG)  # In this order they stand.
COLUMNS: Final = ("run", "type", "state", "started", "tainted", "input", "output")  # Beside those of properties.


def noted(node: Node) -> dict[str, Any]:
    """Return the properties of a node that are its user's, declared or not, by name: those of a run with their prefix."""
    return {
        key: python_of(values[key])
        for values in (node.properties, node.custom_properties)
        for key in sorted(values)
        if not key.startswith(words.OURS)
    }


def differing(values: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of properties (of `noted`) that differ, all of them where there is one node: metrics, parameters, others, tags."""
    names = dict.fromkeys(name for one in values for name in one)
    found = [name for name in names if len(values) == 1 or not all_same([one.get(name) for one in values])]
    return sorted(found, key=_place)


def all_same(values: Sequence[Any]) -> bool:
    """Tell whether values, None for one that is absent, are one."""
    first, *others = values
    return all(same(one, first) for one in others)


def _place(name: str) -> tuple[int, str]:
    prefix = next((one for one in (words.METRIC, words.PARAMETER, words.TAG) if name.startswith(one)), "")
    return (_RANKS.index(prefix), name)


@dataclass(frozen=True)
class Row:
    """A run in a list. values: its properties by name, as `noted`; inputs, outputs: id and label of what it read and made."""

    run: Run
    values: Mapping[str, Any]
    inputs: Sequence[tuple[int, str]]
    outputs: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Rows:
    """Runs in a list. columns: the properties that are shown."""

    columns: Sequence[str]
    rows: Sequence[Row]

    @property
    def table(self) -> Table:
        """Return them as a table."""
        names = [*COLUMNS[:-2], *self.columns, *COLUMNS[-2:]]
        rows = [dict(zip(names, self._cells(row), strict=True)) for row in self.rows]
        if rows and not any(row["tainted"] for row in rows):
            names.remove("tainted")
        return Table(names, [[row[name] for name in names] for row in rows])

    def _cells(self, row: Row) -> list[Any]:
        message = row.run.message
        ends = [", ".join(label for _, label in end) for end in (row.inputs, row.outputs)]
        return [
            message.id,
            message.type,
            row.run.state,  # LOST, where its process is gone.
            time_of(message.create_time_since_epoch),
            is_tainted(message),
            *(row.values.get(name) for name in self.columns),
            *ends,
        ]


def rows_of(
    store: MetadataStore, nodes: Sequence[Node], columns: Sequence[str] | None, first: Sequence[str], most: int | None
) -> Rows:
    """Return runs as rows. columns: the properties to show; None for `first` and those that differ, `most` at most."""
    values = [noted(node) for node in nodes]
    if columns is None:
        sorted_by = [name for name in first if any(name in own for own in values)]
        columns = list(dict.fromkeys([*sorted_by, *differing(values)]))[:most]
    read, made = _ends(store, nodes)
    rows = [
        Row(Run(store, node), own, read.get(node.id, ()), made.get(node.id, ()))
        for node, own in zip(nodes, values, strict=True)
    ]
    return Rows(columns, rows)


def _ends(
    store: MetadataStore, nodes: Sequence[Node]
) -> tuple[dict[int, list[tuple[int, str]]], dict[int, list[tuple[int, str]]]]:
    """Return what runs read and what they made, each thing once, as id and label, by the id of the run."""
    events = store.get_events_by_execution_ids([node.id for node in nodes]) if nodes else []
    ids = sorted({event.artifact_id for event in events})
    labels = {artifact.id: label_of(artifact) for artifact in store.get_artifacts_by_id(ids)} if ids else {}
    read: dict[int, dict[int, str]] = {}
    made: dict[int, dict[int, str]] = {}
    for event in events:
        ends, one = read if event.type in INPUTS else made, event.artifact_id
        ends.setdefault(event.execution_id, {})[one] = labels.get(one, name_of(("artifact", one)))
    return _listed(read), _listed(made)


def _listed(ends: dict[int, dict[int, str]]) -> dict[int, list[tuple[int, str]]]:
    return {run: list(own.items()) for run, own in ends.items()}
