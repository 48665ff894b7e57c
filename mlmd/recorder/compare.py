"""Compare runs, or one run at several moments: only what differs, and where the lineages part."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd.display.nodes import ONLY
from mlmd.display.tables import Table
from mlmd.display.walk import among
from mlmd.errors import InvalidArgumentError
from mlmd.names import name_of
from mlmd.reaching import REACH, Reach
from mlmd.recorder import words
from mlmd.recorder.aliases import label_of, own_name
from mlmd.recorder.references import execution_of
from mlmd.recorder.rows import all_same, noted
from mlmd.recorder.things import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlmd.display.graph import Graph
    from mlmd.store import MetadataStore

_SECTIONS: Final = {words.METRIC: "metric", words.PARAMETER: "param", words.TAG: "tag"}
_ORDER: Final = ("state", "metric", "param", "input", "code", "tag", "property")
_SHORT_DIGEST: Final = 12
_LABELS_SHOWN: Final = 5
_NODES_SHOWN: Final = 20  # Of each side, in a picture.
_TWO: Final = 2


class Difference(NamedTuple):
    """One row: what differs, and what it is in each run, None where it is not there. delta: the last less the first, of a metric."""

    section: str
    key: str
    values: tuple[Any, ...]
    delta: float | None = None


@dataclass(frozen=True)
class Parting:
    """Where lineages part. common: what they share and nothing else that they share was made from; alone: what each has by itself.

    All as (kind, id), nearest first.
    """

    common: list[tuple[str, int]]
    alone: list[list[tuple[str, int]]]


@dataclass(frozen=True)
class Comparison:
    """What differs between runs. labels: of the runs; alike: what is the same in all of them."""

    labels: Sequence[str]
    differences: Sequence[Difference]
    alike: Sequence[Difference]
    parting: Parting
    names: Mapping[tuple[str, int], str] = field(default_factory=dict)  # Of what `parting` speaks of.
    runs: Sequence[Run] = ()

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return bool(self.differences)

    @property
    def equal(self) -> int:
        """Return how many properties and inputs are the same in all of them."""
        return len(self.alike)

    @property
    def table(self) -> Table:
        """Return a row for each difference."""
        with_delta = any(one.delta is not None for one in self.differences)
        columns = ["what", "key", *self.labels, *(["delta"] if with_delta else [])]
        rows = [[one.section, one.key, *one.values, *([one.delta] if with_delta else [])] for one in self.differences]
        compared = 2, 2 + len(self.labels)
        return Table(columns, rows, ", ".join([self._count(), *self.parts()]), compared)

    def _count(self) -> str:
        return (
            f"{len(self.differences):,} differ, {self.equal:,} equal"
            if self.differences
            else f"no difference, {self.equal:,} equal"
        )

    def parts(self) -> list[str]:
        """Return where the lineages part, in words."""
        common, alone = self.parting.common, self.parting.alone
        if not any(alone):
            return []
        told = [f"lineages part at {self._listed(common)}" if common else "lineages have nothing in common"]
        return told + [f"{one} alone: {self._listed(own)}" for one, own in zip(self.labels, alone, strict=True) if own]

    def _listed(self, things: Sequence[tuple[str, int]]) -> str:
        shown = " ".join(self.names.get(one, name_of(one)) for one in things[:_LABELS_SHOWN])
        more = len(things) - _LABELS_SHOWN
        return f"{shown} and {more:,} more" if more > 0 else shown

    def __repr__(self) -> str:
        return "\n".join([str(replace(self.table, note="")), self._count(), *self.parts()])

    def _repr_html_(self) -> str:
        graph = self.lineage()
        return self.table._repr_html_() + (graph._repr_html_() if graph.edges else "")

    def lineage(self) -> Graph:
        """Return the runs, what they have alone and where that meets: a lineage in which each node says of which runs alone it is."""
        common, alone = self.parting.common, self.parting.alone
        whose: dict[str, list[str]] = {}
        for one, own in zip(self.labels, alone, strict=True):
            for thing in own[:_NODES_SHOWN]:
                whose.setdefault(name_of(thing), []).append(one)
        roots = [("execution", run.id) for run in self.runs]
        things = dict.fromkeys([*roots, *common[:_NODES_SHOWN], *(one for own in alone for one in own[:_NODES_SHOWN])])
        graph = among(self.runs[-1].metadata, roots, things)
        nodes = [
            replace(node, flags=node.flags | {f"{ONLY}{', '.join(whose[node.key])}"}) if node.key in whose else node
            for node in graph.nodes
        ]
        return replace(graph, nodes=nodes)

    def markdown(self) -> str:
        """Return a table of GitHub's Markdown, for a pull request."""
        return self.table.markdown()

    def records(self) -> list[dict[str, Any]]:
        """Return each difference as a dict."""
        return self.table.records()

    def df(self) -> Any:
        """Return a pandas.DataFrame. Raises MissingLibraryError."""
        return self.table.df()


def compare(store: MetadataStore, *runs: Any) -> Comparison:
    """Compare runs: named in any way, or objects; those of `store.as_of(...)` as they were then. Raises InvalidArgumentError, NotFoundError."""
    found = [one if isinstance(one, Run) else Run(store, execution_of(store, one)) for one in runs]
    if len(found) < _TWO:
        raise InvalidArgumentError("compare what? name two runs or more: compare('run:5', 'run:7')")
    labels = _labels(found)
    sides = [_facts(one) for one in found]
    keys = sorted(dict.fromkeys(key for side in sides for key in side), key=lambda key: (_ORDER.index(key[0]), key[1]))
    rows = [Difference(*key, tuple(side.get(key) for side in sides)) for key in keys]
    differing = [_with_delta(one) for one in rows if not all_same(one.values)]
    alike = [one for one in rows if all_same(one.values)]
    parting = _parting(found)
    return Comparison(labels, differing, alike, parting, _names(found, parting), found)


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return how each run is called: by its moment too where one is there several times."""
    labels = [one.label for one in runs]
    moments = [f"{one.updated:%Y-%m-%d %H:%M:%S}Z" for one in runs]
    labels = [f"{own} {moment}" if labels.count(own) > 1 else own for own, moment in zip(labels, moments, strict=True)]
    return [f"{own} ({at})" if labels.count(own) > 1 else own for at, own in enumerate(labels, 1)]


def _facts(run: Run) -> dict[tuple[str, str], Any]:
    """Return what is compared of a run, by section and key."""
    facts: dict[tuple[str, str], Any] = {("state", "state"): run.state, ("state", "type"): run.type}
    if run.tainted is not None:
        facts["state", "tainted"] = run.tainted
    for name, value in noted(run.message).items():
        prefix = next((one for one in _SECTIONS if name.startswith(one)), "")
        facts[_SECTIONS.get(prefix, "property"), name.removeprefix(prefix)] = value
    if run.code is not None:
        facts["code", "digest"] = run.code[:_SHORT_DIGEST]
    for key, value in (("commit", run.commit), ("command", run.command)):
        if value is not None:
            facts["code", key] = value
    return facts | _inputs(run)


def _inputs(run: Run) -> dict[tuple[str, str], Any]:
    """Return what a run read, by role, else by name, else by type: the labels of the artifacts."""
    found: dict[str, set[str]] = {}
    for one in run.inputs:
        key = one.role if one.role is not None else own_name(one.message) or one.type
        found.setdefault(key, set()).add(one.label)
    return {("input", key): ", ".join(sorted(labels)) for key, labels in found.items()}


def _with_delta(one: Difference) -> Difference:
    first, last = one.values[0], one.values[-1]
    numbers = all(isinstance(value, float) and math.isfinite(value) for value in (first, last))
    # To twelve digits: what the subtraction itself adds is nobody's difference.
    return one._replace(delta=float(f"{last - first:.12g}")) if one.section == "metric" and numbers else one


# Lineage ---------------------------------------------------------------------------------------------------------------


def _parting(runs: Sequence[Run]) -> Parting:
    """Return where the lineages of runs part: see Parting. A run is part of its own lineage."""
    above = [_above(one, {"execution": {one.id}}, None) for one in runs]
    lineages = [dict.fromkeys([("execution", run.id), *found]) for run, found in zip(runs, above, strict=True)]
    common = set(lineages[0]).intersection(*lineages[1:])
    alone = [[one for one in own if one not in common] for own in lineages]
    if not any(alone):
        return Parting([], alone)
    first: dict[tuple[str, int], None] = {}
    for run, own in zip(runs, alone, strict=True):
        by_kind: dict[str, set[int]] = {}
        for kind, one in own:
            by_kind.setdefault(kind, set()).add(one)
        first.update((one, None) for one in _above(run, by_kind, 1) if one in common)
    return Parting(list(first), alone)


def _above(run: Run, by_kind: Mapping[str, Iterable[int]], hops: int | None) -> list[tuple[str, int]]:
    """Return what things were made from, nearest first."""
    found: list[tuple[str, int]] = []
    for kind, ids in by_kind.items():
        reached = run.metadata.answer(REACH, Reach(kind, tuple(sorted(ids)), downstream=False, hops=hops))  # type: ignore[arg-type] # One of two.
        found += [("artifact", one) for one in reached.artifacts] + [("execution", one) for one in reached.executions]
    return found


def _names(runs: Sequence[Run], parting: Parting) -> dict[tuple[str, int], str]:
    """Return the labels of the artifacts that a comparison names."""
    shown = [one for own in (parting.common, *parting.alone) for one in own[:_LABELS_SHOWN]]
    ids = {one for kind, one in shown if kind == "artifact"}
    stores = {id(run.metadata): run.metadata for run in runs}.values()
    return {("artifact", one.id): label_of(one) for store in stores for one in store.get_artifacts_by_id(ids)}
