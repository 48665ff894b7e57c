"""Filters, pages and lineage on a store of some size, in both libraries: the same requests, through the same Python API.

This file runs inside the reference's interpreter too, so it knows the standard library and the package it is told of, `mlmd`
or `ml_metadata`, and nothing else of ours.

    python reading.py PACKAGE make FOLDER ARTIFACTS      a store of so many artifacts; FOLDER is there and empty
    python reading.py PACKAGE ask FOLDER ARTIFACTS CALLS WARM_UP

A quarter as many executions each read four of the newest artifacts and make four: twice as many events as artifacts. 25 executions
are a run, a context with a hundred artifacts and more; every hundredth run is of the same pipeline. "ask" prints one line of JSON,
{"steps": {name: {"wall_us": a call, "cpu_us": a call}}, "library": {...}}.
"""

from __future__ import annotations

import base64
import importlib
import json
import random
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workload import library, timed

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS: Final = ("filter one", "filter three", "first page", "far page", "lineage", "context")
MADE: Final = 4  # Artifacts of an execution, and as many that it reads.
NEWEST: Final = 400  # From which those are taken: what lies upstream of one artifact in 20 hops stays about as large.
RUN: Final = 25  # Executions.
PIPELINES: Final = 100
OWNERS: Final = 100
BATCH: Final = 1_000
PAGE: Final = 100
FAR_PAGE: Final = 1_000
HOPS: Final = 20
WARM_UP_LEAST: Final = 3
WARM_UP_S: Final = 3.0


class Questions:
    """A store and what is asked of it."""

    def __init__(self, package: str, folder: Path, artifacts: int) -> None:
        self.pb = importlib.import_module(f"{package}.proto.metadata_store_pb2")
        self.api = importlib.import_module(f"{package}.metadata_store")
        config = self.pb.ConnectionConfig()
        config.sqlite.filename_uri = str(folder / "store")
        config.sqlite.connection_mode = self.pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = self.api.MetadataStore(config)
        self.artifacts, self.executions = artifacts, artifacts // MADE
        self.runs = max(1, self.executions // RUN)

    # Making ----------------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """Put everything, in large calls."""
        pb, store = self.pb, self.store
        properties = {"span": pb.INT, "accuracy": pb.DOUBLE, "split": pb.STRING}
        artifact_type = store.put_artifact_type(pb.ArtifactType(name="Model", properties=properties))
        execution_type = store.put_execution_type(pb.ExecutionType(name="Trainer", properties={"steps": pb.INT}))
        run_type = store.put_context_type(pb.ContextType(name="Run"))
        pipeline_type = store.put_context_type(pb.ContextType(name="Pipeline"))
        self._put(store.put_artifacts, (self._artifact(number, artifact_type) for number in range(self.artifacts)))
        self._put(store.put_executions, (self._execution(number, execution_type) for number in range(self.executions)))
        self._put(store.put_contexts, (pb.Context(type_id=run_type, name=f"run-{n}") for n in range(self.runs)))
        pipelines = (pb.Context(type_id=pipeline_type, name=f"pipeline-{n}") for n in range(PIPELINES))
        self._put(store.put_contexts, pipelines)
        self._put(store.put_events, self._events())
        self._put(partial(store.put_attributions_and_associations, associations=[]), self._attributions())
        self._put(partial(store.put_attributions_and_associations, []), self._associations())

    def _put(self, put: Callable[[Any], Any], things: Any) -> None:
        batch = []
        for thing in things:
            batch.append(thing)
            if len(batch) == BATCH:
                put(batch)
                batch = []
        if batch:
            put(batch)

    def _artifact(self, number: int, type_id: int) -> Any:
        pb = self.pb
        return pb.Artifact(
            type_id=type_id,
            name=f"model-{number}",
            uri=f"s3://bucket/models/{number}/saved_model",
            state=pb.Artifact.LIVE,
            properties={
                "span": pb.Value(int_value=number % 1_000),
                "accuracy": pb.Value(double_value=number % 997 / 997),
                "split": pb.Value(string_value=("train", "eval", "test")[number % 3]),
            },
            custom_properties={"owner": pb.Value(string_value=f"team-{number % OWNERS}")},
        )

    def _execution(self, number: int, type_id: int) -> Any:
        pb = self.pb
        return pb.Execution(
            type_id=type_id,
            name=f"trainer-{number}",
            last_known_state=pb.Execution.COMPLETE,
            properties={"steps": pb.Value(int_value=number)},
        )

    def _events(self) -> Any:
        event, dice = self.pb.Event, random.Random(1)
        for number in range(self.executions):
            first = number * MADE
            oldest = max(0, first - NEWEST)
            for artifact in dice.sample(range(oldest, first), MADE) if first else ():
                yield event(artifact_id=artifact + 1, execution_id=number + 1, type=event.INPUT)
            for artifact in range(first, first + MADE):
                yield event(artifact_id=artifact + 1, execution_id=number + 1, type=event.OUTPUT)

    def _contexts(self, execution: int) -> tuple[int, int]:
        run = min(execution // RUN, self.runs - 1)
        return run + 1, self.runs + run % PIPELINES + 1

    def _attributions(self) -> Any:
        for artifact in range(self.artifacts):
            for context in self._contexts(artifact // MADE):
                yield self.pb.Attribution(context_id=context, artifact_id=artifact + 1)

    def _associations(self) -> Any:
        for execution in range(self.executions):
            for context in self._contexts(execution):
                yield self.pb.Association(context_id=context, execution_id=execution + 1)

    # Asking ----------------------------------------------------------------------------------------------------------

    def ask(self, calls: int, warm_up: int) -> dict[str, dict[str, float]]:
        """Ask everything `calls` times, each time about something else.

        warm_up: how often before, so that a property which is asked for often has its index; no longer than a few seconds.
        """
        steps = {}
        for name, (question, found) in self._questions().items():
            warm, until = 0, time.monotonic() + WARM_UP_S
            while warm < WARM_UP_LEAST or (warm < warm_up and time.monotonic() < until):
                assert question(warm)() >= found, f"{name}: what was put is found"
                warm += 1
            steps[name] = timed([question(warm + number) for number in range(calls)], calls)
        return steps

    def _questions(self) -> dict[str, tuple[Callable[[int], Callable[[], int]], int]]:
        """Return each question by its number, and how much it finds at least."""

        def one(number: int) -> Callable[[], int]:
            return self._filter(f"custom_properties.owner.string_value = 'team-{number % OWNERS}'")

        def three(number: int) -> Callable[[], int]:
            return self._filter(
                f"properties.split.string_value = '{('train', 'eval', 'test')[number % 3]}' AND"
                f" properties.accuracy.double_value > 0.{number % 10} AND contexts_a.name = 'pipeline-{number % PIPELINES}'"
            )

        return {
            "filter one": (one, min(PAGE, self.artifacts // OWNERS)),
            "filter three": (three, min(PAGE, self.artifacts // PIPELINES // 40)),
            "first page": (lambda _: self._page(0), PAGE),
            "far page": (lambda _: self._page(min(FAR_PAGE, self.artifacts // PAGE) - 1), PAGE),
            "lineage": (self._lineage, 1),
            "context": (self._context, RUN * MADE),
        }

    def _filter(self, text: str) -> Callable[[], int]:
        options = self.api.ListOptions(limit=PAGE, filter_query=text)
        return lambda: len(self.store.get_artifacts(options))

    def _page(self, page: int) -> Callable[[], int]:
        """Return a listing of one page; through the token that the page before would have given."""
        pb = self.pb
        service = importlib.import_module(pb.__name__.replace("_pb2", "_service_pb2"))
        request = service.GetArtifactsRequest()
        request.options.max_result_size = PAGE
        if page:
            token = pb.ListOperationNextPageToken(id_offset=page * PAGE, field_offset=page * PAGE)
            token.set_options.max_result_size = PAGE
            request.options.next_page_token = base64.urlsafe_b64encode(token.SerializeToString()).decode()

        def call() -> int:
            return len(self._call("GetArtifacts", request, service.GetArtifactsResponse()).artifacts)

        return call

    def _call(self, name: str, request: Any, response: Any) -> Any:
        """Send one request as the package's own methods do: neither lets a caller choose the page."""
        answer = self.store._call(name, request, *([response] if self.pb.__name__.startswith("ml_metadata") else []))
        return response if answer is None else answer

    def _lineage(self, number: int) -> Callable[[], int]:
        pb = self.pb
        artifact = self.artifacts - (number * 7_919) % (self.artifacts // 2)
        options = pb.LineageSubgraphQueryOptions(max_num_hops=HOPS, direction=pb.LineageSubgraphQueryOptions.UPSTREAM)
        options.starting_artifacts.filter_query = f"id = {artifact}"
        return lambda: len(self.store.get_lineage_subgraph(options).events)

    def _context(self, number: int) -> Callable[[], int]:
        context = number * 7_919 % self.runs + 1
        return lambda: len(self.store.get_artifacts_by_context(context))


def main() -> None:
    """Do what the command line says."""
    package, what, folder, artifacts, *calls = sys.argv[1:]
    questions = Questions(package, Path(folder), int(artifacts))
    if what == "make":
        questions.make()
        print(json.dumps({}))
    else:
        print(json.dumps({"steps": questions.ask(*map(int, calls)), "library": library(package)}))


if __name__ == "__main__":
    main()
