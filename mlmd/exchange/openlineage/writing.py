"""The store's own runs as run events of OpenLineage, made of one record at a time, by the classes of openlineage-python.

| a record that                           | is told as                                                                 |
| puts a run that was not there, or NEW   | START; where it has ended already, also how                               |
| ends a run                              | COMPLETE (also CACHED), FAIL, ABORT                                       |
| puts a running run, or links it to data | RUNNING                                                                   |
| says more of a run that has ended       | OTHER                                                                     |

What an event says is what the store held after its record, so the same record gives the same bytes, whenever it is asked. A run's UUID
is made of the log's id and the run's, or is the one under which it came in; so who gets an event twice can tell. What came in from
OpenLineage goes out under its names, its facets with it.

Facets of ours: `evlog_citation` of a run (log, offset, root: what the event is cited by), `evlog_run` and `evlog_artifact`
(id, type, state, taint, properties).
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from evlog.records import Struct
from mlmd import __version__
from mlmd.convert import properties_of, state_of
from mlmd.exchange.citation import Citations
from mlmd.exchange.openlineage import words
from mlmd.exchange.openlineage.datasets import dataset_of
from mlmd.exchange.openlineage.facets import (
    PRODUCER,
    CitationFacet,
    RunNodeFacet,
    kept,
    named,
    said_of,
    standard,
    tainted,
    without_deleted,
)
from mlmd.exchange.openlineage.moments import Moments
from mlmd.exchange.selection import time_text
from mlmd.kinds import EVENT_TYPES, EXECUTION
from mlmd.recorder import words as recorded
from projections.errors import MissingLibraryError

try:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.serde import Serde
except ImportError:
    raise MissingLibraryError("openlineage-python", extra="openlineage") from None

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evlog.records import Entry
    from mlmd.engine import Engine
    from mlmd.proto import metadata_store_pb2 as pb

_ENDS: Final = {
    "COMPLETE": RunState.COMPLETE,
    "CACHED": RunState.COMPLETE,
    "FAILED": RunState.FAIL,
    "CANCELED": RunState.ABORT,
}
_NEW: Final = "NEW"
_PENDING: Final = "PENDING_OUTPUT"
_PARENTS: Final = (words.PARENT_TYPE, "pipeline_run", "system.PipelineRun")  # Types of contexts that are runs.


class Writer:
    """Makes events of the records of a store, from an offset on, in order. namespace: of jobs and data that have none of their own."""

    def __init__(self, engine: Engine, start: int, namespace: str | None = None) -> None:
        self._log, self._log_id = engine.log, engine.log.id
        self._citations = Citations(engine.log, start)
        self._moments = Moments(engine, start)
        self.namespace = namespace or f"evlog://{self._log_id.hex()}"

    def read(self, stop: int) -> Iterator[tuple[Entry, list[RunEvent]]]:
        """Yield the records up to an offset, each with its events. Raises as `events`, and what `Log.read_on` does."""
        for entry in self._log.read_on(self._citations.tip, stop):
            yield entry, self.events(entry)

    def events(self, entry: Entry) -> list[RunEvent]:
        """Return the events of the next record. Raises StatusError, such as for a view that does not show it yet."""
        touched = self._moments.take(entry)
        return [
            event
            for number, before in touched.items()
            for event in _Told(self, self._moments.run(number), before, entry).events()
        ]

    def run_id(self, execution: pb.Execution) -> str:
        """Return the UUID of a run."""
        external_id = execution.external_id
        if external_id.startswith(words.RUN_ID):
            return external_id.removeprefix(words.RUN_ID)
        return self.uuid(f"execution/{execution.id}")

    def uuid(self, name: str) -> str:
        """Return the UUID of something of this log."""
        return str(uuid.uuid5(uuid.UUID(bytes=self._log_id), name))

    def citation(self, end: int) -> CitationFacet:
        """Return what cites the first so many records."""
        cited = self._citations.cite(end)
        return CitationFacet(cited.log, cited.offset, cited.root, producer=PRODUCER)


class _Told:
    """A run after a record: what there is to tell of it."""

    def __init__(self, writer: Writer, graph: pb.LineageGraph, before: str | None, entry: Entry) -> None:
        self._writer, self._graph, self._before, self._entry = writer, graph, before, entry
        self._run = graph.executions[0]
        self._state = state_of(EXECUTION, self._run)
        self._held = properties_of(self._run.custom_properties)

    def events(self) -> list[RunEvent]:
        """Return the events, START first."""
        end = _ENDS.get(self._state or "")
        if self._state == _NEW:
            states = [RunState.OTHER]
        elif self._before in (None, _NEW):
            states = [RunState.START] if end is None else [RunState.START, end]
        elif self._before in _ENDS:
            states = [RunState.OTHER if end is not None else RunState.RUNNING]
        else:
            states = [end or RunState.RUNNING]
        facet = self._writer.citation(self._entry.offset + 1)
        return [self._event(state, facet) for state in states]

    def _event(self, state: RunState, citation: CitationFacet) -> RunEvent:
        return RunEvent(
            eventType=state,
            eventTime=time_text(self._time_ms(state)),
            producer=PRODUCER,
            run=Run(self._writer.run_id(self._run), self._run_facets() | {"evlog_citation": citation}),
            job=self._job(),
            inputs=[
                InputDataset(*names, facets=said, inputFacets=self._own(words.INPUTS, names))
                for names, said in self._data(outputs=False)
            ],
            outputs=[
                OutputDataset(*names, facets=said, outputFacets=self._own(words.OUTPUTS, names))
                for names, said in self._data(outputs=True)
            ],
        )

    def _time_ms(self, state: RunState) -> int:
        put_ms = self._entry.time_us // 1000
        started, ended = self._held.get(words.STARTED_MS), self._ended_ms()
        if state is RunState.START:
            if isinstance(started, int):
                return started
            return min(self._run.create_time_since_epoch, put_ms if ended is None else ended)
        return ended if ended is not None and state in _ENDS.values() else put_ms

    def _ended_ms(self) -> int | None:
        ended = self._held.get(recorded.ENDED_MS)
        return ended if isinstance(ended, int) and self._state in _ENDS else None

    # The run --------------------------------------------------------------------------------------------------------

    def _run_facets(self) -> dict[str, Any]:
        run, held = self._run, self._held
        made: dict[str, Any] = {
            "processing_engine": standard.processing_engine_run.ProcessingEngineRunFacet(
                version=__version__, name="evlog", producer=PRODUCER
            ),
            "nominalTime": self._nominal_time(),
        }
        if isinstance(error := held.get(recorded.ERROR), str):
            lines = error.strip().split("\n")
            made["errorMessage"] = standard.error_message_run.ErrorMessageRunFacet(
                message=lines[-1], programmingLanguage="PYTHON", stackTrace=error, producer=PRODUCER
            )
        if tags := named(held, recorded.TAG):
            made["tags"] = standard.tags_run.TagsRunFacet(
                tags=[
                    standard.tags_run.TagsRunFacetFields(key=key, value=str(value), source="EVLOG")
                    for key, value in tags.items()
                ],
                producer=PRODUCER,
            )
        if params := named(held, recorded.PARAMETER):
            of_run = standard.execution_parameters_run
            made["executionParameters"] = of_run.ExecutionParametersRunFacet(
                parameters=[
                    of_run.ExecutionParameter(key=key, value=value if isinstance(value, str) else json.dumps(value))
                    for key, value in params.items()
                ],
                producer=PRODUCER,
            )
        if (parent := self._parent()) is not None:
            made["parent"] = parent
        node = RunNodeFacet(run.id, run.type, self._state, tainted(held), said_of(run), producer=PRODUCER)
        return made | kept(held, words.RUN) | {"evlog_run": node}

    def _nominal_time(self) -> Any:
        ended = self._ended_ms()
        return standard.nominal_time_run.NominalTimeRunFacet(
            nominalStartTime=time_text(self._time_ms(RunState.START)),
            nominalEndTime=None if ended is None else time_text(ended),
            producer=PRODUCER,
        )

    def _job(self) -> Job:
        for context in self._graph.contexts:
            said = properties_of(context.properties)
            if context.type == words.JOB_TYPE and said.keys() >= {"namespace", "name"}:
                came = kept(properties_of(context.custom_properties), words.FACETS)
                return Job(str(said["namespace"]), str(said["name"]), came)
        kind = standard.job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="EVLOG", jobType=self._run.type, producer=PRODUCER
        )
        return Job(self._writer.namespace, self._run.type, {"jobType": kind})

    def _parent(self) -> Any:
        """Return the run that this one is part of: its context of a type that is a run, None where there is none."""
        for kind in _PARENTS:
            for context in self._graph.contexts:
                if context.type == kind:
                    run = standard.parent_run.Run(self._writer.uuid(f"context/{context.id}"))
                    job = standard.parent_run.Job(self._writer.namespace, context.name)
                    return standard.parent_run.ParentRunFacet(run, job, producer=PRODUCER)
        return None

    # Its data -------------------------------------------------------------------------------------------------------

    def _data(self, *, outputs: bool) -> Iterable[tuple[tuple[str, str], dict[str, Any]]]:
        """Yield the names and facets of what the run read or made, each once."""
        nodes = {node.id: node for node in self._graph.artifacts}
        wanted = (
            event.artifact_id
            for event in self._graph.events
            if EVENT_TYPES[event.type].endswith("OUTPUT" if outputs else "INPUT")
            and EVENT_TYPES[event.type] != _PENDING
        )
        for artifact_id in dict.fromkeys(wanted):
            if artifact_id in nodes:
                yield dataset_of(nodes[artifact_id], self._writer.namespace)

    def _own(self, key: str, names: tuple[str, str]) -> dict[str, Any]:
        """Return the facets that this run said of a dataset when it came in."""
        held = self._held.get(key)
        of_run = held.fields if isinstance(held, Struct) else {}
        return without_deleted(of_run.get("/".join(names), {}))


def as_line(event: RunEvent) -> str:
    """Return an event as a line of JSON, without its end; plain ASCII, so that nobody takes a character for the end of a line."""
    return str(Serde.to_json(event))
