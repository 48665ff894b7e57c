"""An event of OpenLineage -> changes of a store, decided under the writer's lock like any put: one event is one record.

| OpenLineage              | here                                                                                      |
| run                      | execution, external id openlineage:run:UUID, type INTEGRATION.JOBTYPE of the job           |
| START, RUNNING           | state RUNNING; COMPLETE: COMPLETE; FAIL: FAILED; ABORT: CANCELED; OTHER leaves it           |
| job                      | context of type openlineage.Job, name NAMESPACE.NAME, to which the run and its data belong  |
| dataset                  | artifact, one a version where a version is told; type as its facet says, else Dataset       |
| inputs, outputs          | events INPUT and OUTPUT at the event's time                                               |
| parent                   | context of type openlineage.ParentRun, named by the parent's UUID                         |
| facets errorMessage, tags, executionParameters | also `evlog.error`, `t.KEY`, `p.KEY`, as the recorder names them      |
| facet evlog_run, of another store of ours      | its `p.KEY`, `m.KEY`, `t.KEY`                                         |

Events may come twice, late and in any order. Of a facet the latest counts, by event time; an older event adds what is not there. A run
that has ended stays so. A run notes the newest event that spoke of it, so an event that the store has taken before is an older one, all
of which is there, and changes nothing, whatever came between: see `Unchanged`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from evlog.records import Properties, Struct
from mlmd import errors
from mlmd.commands.composite import put_lineage_subgraph
from mlmd.convert import properties_of, set_values, state_of, value_of
from mlmd.exchange.openlineage import words
from mlmd.kinds import ARTIFACT, CONTEXT, ENDED, EVENT_NUMBERS, EXECUTION, Kind
from mlmd.methods import Method
from mlmd.proto import metadata_store_service_pb2 as service
from mlmd.recorder import words as recorded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlmd.commands.draft import Draft
    from mlmd.exchange.openlineage.reading import Dataset, Event, Facets, Job
    from mlmd.kinds import Node

_STATES: Final = {
    "START": "RUNNING",
    "RUNNING": "RUNNING",
    "COMPLETE": "COMPLETE",
    "FAIL": "FAILED",
    "ABORT": "CANCELED",
}
_DECLARED: Final = {"namespace": "STRING", "name": "STRING"}  # Of contexts.


class Unchanged(errors.AlreadyExistsError):
    """The store has taken the event before, or knows all that it says: nothing is put."""


def _put(draft: Draft, event: Event) -> None:
    """Decide what an event changes. Raises Unchanged, StatusError."""
    put = _Put(draft, event)
    request = put.request()
    request.event_edges.extend(put.edges())
    put_lineage_subgraph(draft, request)
    if not draft.changes:
        raise Unchanged("the store knows all that this event says")


# Not an RPC: whoever sends events speaks OpenLineage.
PUT_EVENT: Final = Method("OpenLineage", type(None), type(None), _put, None)


class _Put:
    """One event, and what is known of the things that it speaks of."""

    def __init__(self, draft: Draft, event: Event) -> None:
        self._draft, self._event = draft, event
        self._newer = True  # Than all that spoke of its run, if it has one.
        self._datasets: dict[str, list[Dataset]] = {}  # By external id: one may be input and output, or be said twice.
        for dataset in (*event.inputs, *event.outputs, *event.datasets):
            self._datasets.setdefault(_id_of(dataset), []).append(dataset)
        self._places = {external_id: at for at, external_id in enumerate(self._datasets)}
        self._ids: list[int | None] = []  # Of the artifacts that are there, in that order.
        self._execution: Node | None = self._run() if event.run_id else None

    def request(self) -> service.PutLineageSubgraphRequest:
        """Return all nodes as they are to be."""
        request = service.PutLineageSubgraphRequest()
        if self._event.job is not None:
            request.contexts.append(self._job(self._event.job))
            if (parent := self._parent()) is not None:
                request.contexts.append(parent)
        for external_id, said in self._datasets.items():
            artifact = self._artifact(external_id, said)
            self._ids.append(artifact.id if artifact.HasField("id") else None)
            request.artifacts.append(artifact)
        if self._execution is not None:
            request.executions.append(self._execution)
        return request

    def edges(self) -> Iterable[Any]:
        """Yield the events that are not there yet."""
        run = self._execution
        if run is None:
            return
        for name, datasets in (("INPUT", self._event.inputs), ("OUTPUT", self._event.outputs)):
            for at in dict.fromkeys(self._places[_id_of(dataset)] for dataset in datasets):
                known_id = self._ids[at]
                if (
                    known_id is None
                    or not run.HasField("id")
                    or not self._draft.known.has_event(known_id, run.id, name)
                ):
                    edge = service.PutLineageSubgraphRequest.EventEdge(artifact_index=at, execution_index=0)
                    edge.event.type = EVENT_NUMBERS[name]
                    edge.event.milliseconds_since_epoch = self._event.time_ms
                    yield edge

    # Nodes ----------------------------------------------------------------------------------------------------------

    def _job(self, job: Job) -> Node:
        node = self._node(CONTEXT, words.JOB_TYPE, words.external_id("job", job.namespace, job.name), _dotted(job))
        node.properties["namespace"].string_value, node.properties["name"].string_value = job.namespace, job.name
        said: Properties = {words.NAMESPACE: job.namespace, words.NAME: job.name}
        if not self._event.run_id:  # What a job reads and writes, by itself: a run has events for that.
            said |= _sides(self._event)
        self._say(node, said, {words.FACETS: job.facets}, stamped=self._execution is None)
        return node

    def _parent(self) -> Node | None:
        """Return the context of what a parent run started, None where none is told, or not as the standard says."""
        facet = self._event.run_facets.get("parent", {})
        run, job = facet.get("run"), facet.get("job")
        run_id = run.get("runId") if isinstance(run, dict) else None
        if not isinstance(run_id, str) or not run_id:
            return None
        node = self._node(CONTEXT, words.PARENT_TYPE, words.external_id("parent", run_id), run_id)
        for field in _DECLARED:
            name = job.get(field) if isinstance(job, dict) else None
            if isinstance(name, str):
                node.properties[field].string_value = name
        return node

    def _artifact(self, external_id: str, said: list[Dataset]) -> Node:
        dataset = said[0]
        facets: Facets = {}
        for one in said:
            facets |= one.facets
        told = facets.get("datasetType", {}).get("datasetType")
        type_name = told if isinstance(told, str) and told else words.DATASET_TYPE
        name = f"{dataset.label}@{dataset.version}" if dataset.version else dataset.label
        node = self._node(ARTIFACT, type_name, external_id, name)
        node.uri = node.uri or _uri(dataset)
        names: Properties = {words.NAMESPACE: dataset.namespace, words.NAME: dataset.name}
        if dataset.version:
            names[words.VERSION] = dataset.version
        self._say(node, names, {words.FACETS: facets}, stamped=self._execution is None)
        return node

    def _run(self) -> Node:
        event = self._event
        assert event.job is not None, "a run has a job: the reader checked"
        node = self._node(EXECUTION, _type_of(event.job), f"{words.RUN_ID}{event.run_id}", event.run_id)
        self._newer = self._is_newer_than(node)
        before, after = state_of(EXECUTION, node), _STATES.get(event.state)
        ends, ended = after in ENDED, before in ENDED
        if after is not None and (before is None or (ends and (self._newer or not ended))):
            node.last_known_state = EXECUTION.state_numbers[after]
            if ends:
                node.custom_properties[recorded.ENDED_MS].int_value = event.time_ms
        if event.state == "START" and words.STARTED_MS not in node.custom_properties:
            node.custom_properties[words.STARTED_MS].int_value = event.time_ms
        own = {
            words.INPUTS: {one.label: one.own for one in event.inputs if one.own},
            words.OUTPUTS: {one.label: one.own for one in event.outputs if one.own},
        }
        for key in _recorded(_facets_in(node, words.RUN)):  # Of facets that may be others now.
            node.custom_properties.pop(key, None)
        self._say(node, {}, {words.RUN: event.run_facets, **own}, stamped=True)
        set_values(node.custom_properties, _recorded(_facets_in(node, words.RUN)))
        return node

    def _node(self, kind: Kind, type_name: str, external_id: str, name: str) -> Node:
        """Return a node as it is stored, else a new one; its name is left out where another has it."""
        known_id = self._draft.id_external(kind, external_id)
        if known_id is not None:
            found = self._draft.node(kind, known_id)
            assert found is not None, "the view has just said so"
            return found
        type_id = self._type(kind, type_name)
        taken = self._draft.id_named(kind, type_id, name) is not None
        node = kind.message(type_id=type_id, external_id=external_id)
        if not taken:
            node.name = name
        elif kind is CONTEXT:  # Which has to have one.
            node.name = external_id
        return node

    def _type(self, kind: Kind, name: str) -> int:
        stored = self._draft.type_named(kind, name, "")
        if stored is not None:
            return stored.id
        declared = _DECLARED if kind is CONTEXT else {}
        change = kind.type_put(id=self._draft.next_id("type"), name=name, properties=declared)
        return self._draft.put_type(kind, change).id

    # What they say --------------------------------------------------------------------------------------------------

    def _is_newer_than(self, node: Node) -> bool:
        """Tell whether no newer event has spoken of a node."""
        held = node.custom_properties
        return words.LATEST not in held or held[words.LATEST].string_value < self._event.stamp

    def _say(self, node: Node, said: Properties, facets: dict[str, Any], *, stamped: bool) -> None:
        """Let a node say what the event does. facets: property -> what it says under which name; a newer name replaces an older.

        stamped: note that the event spoke of it even if it says nothing new.
        """
        newer = self._newer and self._is_newer_than(node)
        before = properties_of(node.custom_properties)
        values: Properties = dict(said)
        for key, given in facets.items():
            held = _facets_in(node, key)
            if merged := held | given if newer else given | held:
                values[key] = Struct(merged)
        if newer and (stamped or any(before.get(key) != value for key, value in values.items())):
            values[words.LATEST] = self._event.stamp
        for key in values:
            node.custom_properties.pop(key, None)  # Else a struct would be filled on top of what it holds.
        set_values(node.custom_properties, values)


def _id_of(dataset: Dataset) -> str:
    names = (dataset.namespace, dataset.name)
    return words.external_id("dataset", *names, *([dataset.version] if dataset.version else []))


def _dotted(job: Job) -> str:
    return f"{job.namespace}.{job.name}"


def _type_of(job: Job) -> str:
    """Return the type of a job's runs, such as SPARK.SQL_JOB."""
    facet = job.facets.get("jobType", {})
    told = [facet.get(field) for field in ("integration", "jobType")]
    return ".".join(one for one in told if isinstance(one, str) and one) or words.RUN_TYPE


def _uri(dataset: Dataset) -> str:
    """Return where a dataset lies, "" where its namespace is no address: see OpenLineage's conventions of names."""
    if "://" in dataset.namespace:
        return f"{dataset.namespace.rstrip('/')}/{dataset.name.lstrip('/')}"
    return f"file://{dataset.name}" if dataset.namespace == "file" and dataset.name.startswith("/") else ""


def _sides(event: Event) -> Properties:
    sides = {words.INPUTS: event.inputs, words.OUTPUTS: event.outputs}
    return {key: Struct({one.label: one.own for one in datasets}) for key, datasets in sides.items() if datasets}


def _facets_in(node: Node, key: str) -> dict[str, Any]:
    held = node.custom_properties
    if key not in held or not held[key].HasField("struct_value"):
        return {}
    value = value_of(held[key], "struct_value")
    assert isinstance(value, Struct), "that is what the arm holds"
    return value.fields


def _recorded(facets: dict[str, Any]) -> Properties:
    """Return what facets say that the recorder has names for."""
    said: Properties = {}
    error = facets.get("errorMessage")
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        trace = error.get("stackTrace")
        said[recorded.ERROR] = f"{error['message']}\n{trace}" if isinstance(trace, str) and trace else error["message"]
    for facet, field, prefix in (
        ("tags", "tags", recorded.TAG),
        ("executionParameters", "parameters", recorded.PARAMETER),
    ):
        listed = facets.get(facet)
        for one in listed.get(field) or () if isinstance(listed, dict) else ():
            key, value = (one.get("key"), one.get("value")) if isinstance(one, dict) else (None, None)
            if isinstance(key, str) and key and isinstance(value, str | bool | float):
                said[prefix + key] = value if prefix == recorded.PARAMETER else str(value)
    ours = facets.get("evlog_run")  # Of a run that another store of ours has told: numbers, where parameters are text.
    held = ours.get("properties") if isinstance(ours, dict) else None
    for key, value in held.items() if isinstance(held, dict) else ():
        if (key.startswith((recorded.PARAMETER, recorded.TAG)) and isinstance(value, str | bool | float)) or (
            key.startswith(recorded.METRIC) and isinstance(value, float)
        ):
            said[key] = value
    return said
