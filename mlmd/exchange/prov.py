"""Out as W3C PROV: what a store held at a moment, as a document of the `prov` library, which writes PROV-JSON and reads it back.

| here                        | PROV                                                                             |
| execution                   | activity; it starts when it was first put, and ends at `evlog.ended_ms`           |
| artifact                    | entity, its URI as prov:location                                                 |
| input event                 | used, the event's key as prov:role                                               |
| output event                | wasGeneratedBy; one that is pending: wasInfluencedBy                             |
| output of a run with inputs | wasDerivedFrom each of them, for a run with up to DERIVED_MAX such pairs         |
| CACHED run                  | wasInformedBy the run it stands for                                              |
| context                     | entity of type prov:Collection; its artifacts are members, so are child contexts  |
| execution in a context      | wasInfluencedBy the collection: only entities can be members                     |
| who put it                  | agent; wasAssociatedWith of activities, wasAttributedTo of entities               |
| log, offset, root           | entity of type evlog:Citation; `evlog:record` of a node: the last that put it    |

Properties are attributes under the namespaces `property` and `custom`, their names percent-encoded. A struct is JSON text of type
evlog:json. Ids are urn:evlog:log:LOGID:artifact/2, the same in every document of a log.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from evlog.records import Proto, Struct
from mlmd.convert import properties_of, state_of, text_of
from mlmd.display.cells import calendar_time
from mlmd.exchange.citation import TERMS
from mlmd.kinds import ARTIFACT, CONTEXT, ENDED, EVENT_TYPES, EXECUTION, Kind
from mlmd.names import name_of
from mlmd.plain import plain
from mlmd.recorder import words
from projections.errors import MissingLibraryError

if TYPE_CHECKING:
    from prov.identifier import QualifiedName
    from prov.model import ProvDocument

    from mlmd.exchange.selection import Selection
    from mlmd.kinds import Node
    from mlmd.proto import metadata_store_pb2 as pb
    from replay.things import Provenance, Thing

DERIVED_MAX: Final = 1_000  # Pairs of a run: a run that reads and makes thousands says it by its events.
_PENDING: Final = "PENDING_OUTPUT"


def document(found: Selection) -> ProvDocument:
    """Return a selection as a PROV document. Raises MissingLibraryError."""
    try:
        from prov.model import ProvDocument  # noqa: PLC0415 - who asks for no PROV needs it not
    except ImportError:
        raise MissingLibraryError("prov", extra="prov") from None
    return _Writer(found, ProvDocument()).run()


def as_json(made: ProvDocument) -> str:
    """Return a document as PROV-JSON."""
    return str(made.serialize(format="json", indent=1))


def counts(made: ProvDocument) -> dict[str, int]:
    """Return how many records of each kind a document has, by the names that PROV-JSON gives them."""
    from prov.constants import PROV_N_MAP  # noqa: PLC0415 - as above

    counted = Counter(PROV_N_MAP[record.get_type()] for record in made.get_records())
    return dict(sorted(counted.items()))


class _Writer:
    """One document in the making."""

    def __init__(self, found: Selection, made: ProvDocument) -> None:
        from prov.model import PROV, PROV_LABEL, PROV_ROLE, PROV_TYPE, Literal  # noqa: PLC0415 - as above

        self._prov, self._label, self._role, self._type, self._literal = PROV, PROV_LABEL, PROV_ROLE, PROV_TYPE, Literal
        self._found, self._made = found, made
        self._log = made.add_namespace("log", found.citation.namespace)
        self._terms = made.add_namespace("evlog", TERMS)
        self._maps = {
            "properties": made.add_namespace("property", f"{TERMS}property:"),
            "custom_properties": made.add_namespace("custom", f"{TERMS}custom:"),
        }

    def run(self) -> ProvDocument:
        """Write everything."""
        cited = self._found.citation
        name = self._log[f"records/{cited.offset}"]
        said = {"log": cited.log, "offset": cited.offset, "root": cited.root}
        self._made.entity(name, [(self._type, self._terms["Citation"]), *self._attributes(said)])
        for context in self._found.contexts.values():
            collection = [(self._type, self._prov["Collection"])]
            self._made.entity(self._id(CONTEXT, context.id), [*collection, *self._of(CONTEXT, context)])
        for artifact in self._found.artifacts.values():
            location = [(self._prov["location"], artifact.uri)] if artifact.uri else []
            self._made.entity(self._id(ARTIFACT, artifact.id), [*self._of(ARTIFACT, artifact), *location])
        for execution in self._found.executions.values():
            self._activity(execution)
        self._agents()
        self._events()
        self._links()
        return self._made

    # Nodes ----------------------------------------------------------------------------------------------------------

    def _activity(self, node: pb.Execution) -> None:
        state, custom = state_of(EXECUTION, node), properties_of(node.custom_properties)
        ended_ms: Any = custom.get(words.ENDED_MS)
        if not isinstance(ended_ms, int):
            ended_ms = node.last_update_time_since_epoch if state in ENDED else None
        started = calendar_time(node.create_time_since_epoch * 1000)
        ended = None if ended_ms is None else calendar_time(ended_ms * 1000)
        name = self._id(EXECUTION, node.id)
        self._made.activity(name, started, ended, self._of(EXECUTION, node))
        reused = custom.get(words.REUSES)
        if isinstance(reused, int) and reused in self._found.executions:
            self._made.communication(name, self._id(EXECUTION, reused))

    def _of(self, kind: Kind, node: Node) -> list[tuple[Any, Any]]:
        """Return the attributes that nodes of all kinds have."""
        thing: Thing = (kind.name, node.id)
        put = self._found.puts.get(thing)
        said = {
            "type": node.type,
            "state": state_of(kind, node),
            "external_id": text_of(node, "external_id"),
            "tainted": self._tainted(node),
            "record": put[-1].offset if put else None,
        }
        label = text_of(node, "name") or name_of(thing)
        held = [
            (self._maps[field][quote(key, safe="")], self._value(value))
            for field in ("properties", "custom_properties")
            for key, value in sorted(properties_of(getattr(node, field)).items())
        ]
        return [(self._label, label), *self._attributes(said), *held]

    @staticmethod
    def _tainted(node: Node) -> str | None:
        value = node.custom_properties.get(words.TAINTED)
        return None if value is None else value.string_value or "yes"

    def _attributes(self, said: dict[str, Any]) -> list[tuple[Any, Any]]:
        return [(self._terms[name], value) for name, value in said.items() if value is not None]

    def _value(self, value: Any) -> Any:
        if isinstance(value, Struct | Proto):
            text = json.dumps(plain(value), ensure_ascii=False, sort_keys=True)
            return self._literal(text, self._terms["json"])
        return value

    def _id(self, kind: Kind, node_id: int) -> QualifiedName:
        return self._log[f"{kind.name}/{node_id}"]

    # What links them ------------------------------------------------------------------------------------------------

    def _agents(self) -> None:
        """Name who put nodes, and say so of each node, once for each of them."""
        known: dict[str, Provenance] = {}
        for (kind, number), puts in self._found.puts.items():
            for actor in dict.fromkeys(put.actor for put in puts):
                if actor not in known:
                    known[actor] = by = next(put for put in puts if put.actor == actor)
                    said = self._attributes({"auth": by.auth, "actor_key": by.actor_key})
                    self._made.agent(self._agent(actor), [(self._label, actor), *said])
                relate = self._made.association if kind == EXECUTION.name else self._made.attribution
                relate(self._log[f"{kind}/{number}"], self._agent(actor))

    def _agent(self, actor: str) -> QualifiedName:
        return self._log[f"actor/{quote(actor, safe='@.')}"]

    def _events(self) -> None:
        read: dict[int, list[int]] = defaultdict(list)
        made: dict[int, list[int]] = defaultdict(list)
        for event in self._found.events:
            if event.artifact_id not in self._found.artifacts or event.execution_id not in self._found.executions:
                continue  # Of a node at the edge of a lineage, which is not there.
            entity, activity = self._id(ARTIFACT, event.artifact_id), self._id(EXECUTION, event.execution_id)
            name, time = EVENT_TYPES[event.type], calendar_time(event.milliseconds_since_epoch * 1000)
            path = [step.key if step.HasField("key") else step.index for step in event.path.steps]
            said = self._attributes({"event": name, "path": json.dumps(path, ensure_ascii=False) if path else None})
            said += [(self._role, str(path[-1]))] if path else []
            if name.endswith("INPUT"):
                self._made.usage(activity, entity, time, other_attributes=said)
                read[event.execution_id].append(event.artifact_id)
            elif name == _PENDING:
                self._made.influence(entity, activity, other_attributes=said)
            else:
                self._made.generation(entity, activity, time, other_attributes=said)
                made[event.execution_id].append(event.artifact_id)
        for execution_id, outputs in made.items():
            self._derivations(execution_id, dict.fromkeys(outputs), dict.fromkeys(read[execution_id]))

    def _derivations(self, execution_id: int, outputs: dict[int, None], inputs: dict[int, None]) -> None:
        if len(outputs) * len(inputs) > DERIVED_MAX:
            return
        activity = self._id(EXECUTION, execution_id)
        for output in outputs:
            for given in inputs:
                if output != given:
                    self._made.derivation(self._id(ARTIFACT, output), self._id(ARTIFACT, given), activity)

    def _links(self) -> None:
        found = self._found
        for context, node in found.attributions:
            if context in found.contexts and node in found.artifacts:
                self._made.membership(self._id(CONTEXT, context), self._id(ARTIFACT, node))
        for child, parent in found.parents:
            self._made.membership(self._id(CONTEXT, parent), self._id(CONTEXT, child))
        for context, node in found.associations:
            if context in found.contexts and node in found.executions:
                self._made.influence(self._id(EXECUTION, node), self._id(CONTEXT, context))
