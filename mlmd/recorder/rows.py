"""Runs as rows of a table: what they are, the parameters, metrics and tags in which they differ, what they read and made."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.kinds import Node
    from mlmd.store import MetadataStore

_RANKS: Final = (words.METRIC, words.PARAMETER, "", words.TAG)  # In this order they stand.
COLUMNS: Final = ("run", "type", "state", "started", "tainted", "input", "output")  # Beside those of properties.
_ABSENT: Final = object()


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
    found = [name for name in names if len(values) == 1 or _differs([one.get(name, _ABSENT) for one in values])]
    return sorted(found, key=_place)


def _differs(values: list[Any]) -> bool:
    return any(value != values[0] or isinstance(value, bool) != isinstance(values[0], bool) for value in values)


def _place(name: str) -> tuple[int, str]:
    prefix = next((one for one in (words.METRIC, words.PARAMETER, words.TAG) if name.startswith(one)), "")
    return (_RANKS.index(prefix), name)


def table_of(
    store: MetadataStore, nodes: Sequence[Node], columns: Sequence[str] | None, first: Sequence[str], most: int | None
) -> Table:
    """Return runs as a table. columns: the properties to show; None for `first` and those that differ, `most` at most."""
    values = [noted(node) for node in nodes]
    if columns is None:
        sorted_by = [name for name in first if any(name in own for own in values)]
        columns = list(dict.fromkeys([*sorted_by, *differing(values)]))[:most]
    read, made = _ends(store, nodes)
    rows = []
    for node, own in zip(nodes, values, strict=True):
        rows.append(
            {
                "run": node.id,
                "type": node.type,
                "state": Run(store, node).state,  # LOST, where its process is gone.
                "started": time_of(node.create_time_since_epoch),
                "tainted": is_tainted(node),
                **{name: own.get(name) for name in columns},
                "input": ", ".join(read.get(node.id, ())),
                "output": ", ".join(made.get(node.id, ())),
            }
        )
    names = [*COLUMNS[:-2], *columns, *COLUMNS[-2:]]
    if rows and not any(row["tainted"] for row in rows):
        names.remove("tainted")
    return Table(names, [[row[name] for name in names] for row in rows])


def _ends(store: MetadataStore, nodes: Sequence[Node]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Return what runs read and what they made, as labels, by the id of the run."""
    events = store.get_events_by_execution_ids([node.id for node in nodes]) if nodes else []
    ids = sorted({event.artifact_id for event in events})
    labels = {artifact.id: label_of(artifact) for artifact in store.get_artifacts_by_id(ids)} if ids else {}
    read: dict[int, list[str]] = {}
    made: dict[int, list[str]] = {}
    for event in events:
        ends = read if event.type in INPUTS else made
        ends.setdefault(event.execution_id, []).append(
            labels.get(event.artifact_id, name_of(("artifact", event.artifact_id)))
        )
    return read, made
