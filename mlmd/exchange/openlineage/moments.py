"""A store as it was after each record, as the records are read one after the other: of those things that are asked about.

What was touched last is remembered, so most questions cost nothing; for the rest the view tells which records put a thing, and the log
holds them. A view as of each record would tell the same, at many times the price.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

from evlog.records import AssociationPut, EventPut, ExecutionPut, NodePut
from mlmd.convert import event_message, node_message
from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION
from mlmd.proto import metadata_store_pb2 as pb
from projections.sqlite.lookup import Lookup
from replay.things import key_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from evlog.log import Log
    from evlog.records import Entry
    from mlmd.engine import Engine
    from mlmd.kinds import Kind
    from projections.sqlite.view import View

    Link = EventPut | AssociationPut

KEPT: Final = 20_000  # Nodes, and runs with their links: some 100 MB of them at most, where they are large.
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Moments:
    """The moments after each record, from an offset on. `take` is given every record; then the others answer as of it."""

    def __init__(self, engine: Engine, start: int) -> None:
        self._engine, self._end = engine, start
        self._shown = 0  # Up to where the view is known to be.
        self._nodes: OrderedDict[tuple[str, int], NodePut] = OrderedDict()
        self._links: OrderedDict[int, list[Link]] = OrderedDict()  # Of runs.
        self._types: dict[int, str] = {}

    def take(self, entry: Entry) -> dict[int, str | None]:
        """Move on behind the next record; return the runs that it touches, each with its state before: None if it was not there, "" if it had none.

        Raises StatusError for a view that does not show the record.
        """
        changes = entry.record.changes
        touched = [one.id for one in changes if isinstance(one, ExecutionPut)]
        touched += [one.execution_id for one in changes if isinstance(one, EventPut)]
        before: dict[int, str | None] = {}
        if touched:
            self._await(entry.offset + 1)
            for number in dict.fromkeys(touched):
                known = self._node(EXECUTION, number)
                before[number] = None if known is None else getattr(known, "state", None) or ""
                if known is None:
                    _keep(self._links, number, [])  # It is new, so all its links are those that come.
        self._end = entry.offset + 1
        for change in changes:
            if isinstance(change, NodePut):
                _keep(self._nodes, key_of(change), change)
            elif isinstance(change, EventPut | AssociationPut) and change.execution_id in self._links:
                self._links[change.execution_id].append(change)
        return before

    def run(self, number: int) -> pb.LineageGraph:
        """Return a run that is there, with its events, its data and its contexts."""
        links = self._links_of(number)
        events = [event_message(one) for one in links if isinstance(one, EventPut)]
        graph = pb.LineageGraph(events=events, executions=self._messages(EXECUTION, [number]))
        graph.artifacts.extend(
            self._messages(ARTIFACT, {one.artifact_id for one in links if isinstance(one, EventPut)})
        )
        contexts = {one.context_id for one in links if isinstance(one, AssociationPut)}
        graph.contexts.extend(self._messages(CONTEXT, contexts))
        return graph

    def _messages(self, kind: Kind, ids: Collection[int]) -> list[Any]:
        nodes = [node for number in sorted(ids) if (node := self._node(kind, number)) is not None]
        return [node_message(node, self._type_name(node.type_id)) for node in nodes]

    def _node(self, kind: Kind, number: int) -> NodePut | None:
        """Return a node as the last record so far put it."""
        key = (kind.name, number)
        found = self._nodes.get(key)
        if found is None:
            at = self._ask(lambda lookup: lookup.last_put_at(kind.name, [number], self._end)).get(number)
            if at is None:
                return None
            entry = next(self._engine.log.read(at, at + 1))
            found = next(
                one for one in reversed(entry.record.changes) if isinstance(one, NodePut) and key_of(one) == key
            )
        _keep(self._nodes, key, found)
        return found

    def _links_of(self, number: int) -> list[Link]:
        """Return the events and contexts of a run, in the order in which they were put."""
        found = self._links.get(number)
        if found is None:
            at = sorted(
                one for one in self._ask(lambda lookup: lookup.linked_at(EXECUTION.name, number)) if one < self._end
            )
            found = [
                change
                for entry in self._engine.log.read_each(at)
                for change in entry.record.changes
                if isinstance(change, EventPut | AssociationPut) and change.execution_id == number
            ]
        _keep(self._links, number, found)
        return found

    def _type_name(self, type_id: int) -> str:
        if type_id not in self._types:
            self._types = self._ask(Lookup.type_names)
        return self._types[type_id]

    def _await(self, end: int) -> None:
        """Wait for the view to show so many records: another process has appended them, and is about to."""
        if end > self._shown:
            self._shown = self._engine.review(lambda _log, _view, stop: stop)
        if end > self._shown:
            self._shown = self._engine.offset_at(end)

    def _ask(self, question: Any) -> Any:
        def asked(_log: Log, view: View, _stop: int) -> Any:
            return view.ask(question)

        return self._engine.review(asked)


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Remember what was touched last, and forget what was not for the longest time."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)
