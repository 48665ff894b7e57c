"""What is timed in both libraries: the same requests, through the same Python API, each in its own interpreter.

This file runs inside the reference's interpreter too, so it knows the standard library and the package it is told of, `mlmd`
or `ml_metadata`, and nothing else of ours.

    python workload.py PACKAGE FOLDER SIZES

FOLDER is empty and gets the store; SIZES is JSON, {"single": calls, "bulk": calls, "execution": calls, "get": calls}. Prints one
line of JSON: {"steps": {name: {"wall_us": per operation, "cpu_us": per operation}}, "library": {name: version}}. An operation is
one artifact in "bulk", else one call. CPU is that of the whole process, user and system.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import platform
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BULK: Final = 1_000  # Artifacts a call.
WARM_UP: Final = 20  # Calls before the first timed one: statements are prepared, files have their first pages.
STEPS: Final = ("single", "bulk", "execution", "get by id", "get by type and name", "get by uri")
DISTRIBUTIONS: Final = {"mlmd": "evlog-mlmd", "ml_metadata": "ml-metadata"}


def timed(calls: Sequence[Callable[[], Any]], operations: int) -> dict[str, float]:
    """Make the calls one after the other; return microseconds per operation."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for call in calls:
        call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall_us": wall / operations * 1e6, "cpu_us": cpu / operations * 1e6}


class Workload:
    """The requests of one round on one fresh store."""

    def __init__(self, package: str, folder: Path) -> None:
        self.pb = importlib.import_module(f"{package}.proto.metadata_store_pb2")
        config = self.pb.ConnectionConfig()
        config.sqlite.filename_uri = str(folder / "store")
        config.sqlite.connection_mode = self.pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = importlib.import_module(f"{package}.metadata_store").MetadataStore(config)
        self._made = 0
        self._put_types()

    def _put_types(self) -> None:
        pb, store = self.pb, self.store
        properties = {"layers": pb.INT, "accuracy": pb.DOUBLE, "owner": pb.STRING}
        self.artifact_type = store.put_artifact_type(pb.ArtifactType(name="Model", properties=properties))
        self.execution_type = store.put_execution_type(pb.ExecutionType(name="Trainer", properties={"steps": pb.INT}))
        self.context_type = store.put_context_type(pb.ContextType(name="Pipeline"))

    def artifact(self) -> Any:
        """Return the next artifact to put: three properties and a custom one."""
        pb, number = self.pb, self._made
        self._made += 1
        return pb.Artifact(
            type_id=self.artifact_type,
            name=name_of(number),
            uri=uri_of(number),
            state=pb.Artifact.LIVE,
            properties={
                "layers": pb.Value(int_value=number % 100),
                "accuracy": pb.Value(double_value=number / 7),
                "owner": pb.Value(string_value=f"team-{number % 10}"),
            },
            custom_properties={"note": pb.Value(string_value=f"run {number} of the nightly training")},
        )

    def put_singles(self, calls: int) -> dict[str, float]:
        """Put artifacts, each in a call of its own."""
        put = self.store.put_artifacts
        return timed([partial(put, [self.artifact()]) for _ in range(calls)], calls)

    def put_bulks(self, calls: int) -> dict[str, float]:
        """Put artifacts, a thousand in each call."""
        put = self.store.put_artifacts
        batches = [[self.artifact() for _ in range(BULK)] for _ in range(calls)]
        return timed([partial(put, batch) for batch in batches], calls * BULK)

    def put_executions(self, calls: int) -> dict[str, float]:
        """Put executions: an artifact of the store as input, a new one as output, one context for all."""
        pb, store = self.pb, self.store
        inputs = store.get_artifacts_by_id([1 + number for number in range(min(calls, self._made))])
        context = pb.Context(type_id=self.context_type, name="nightly")
        input_event, output_event = pb.Event(type=pb.Event.INPUT), pb.Event(type=pb.Event.OUTPUT)

        def call(number: int) -> Callable[[], Any]:
            execution = pb.Execution(
                type_id=self.execution_type,
                last_known_state=pb.Execution.COMPLETE,
                properties={"steps": pb.Value(int_value=number)},
            )
            pairs = [(inputs[number % len(inputs)], input_event), (self.artifact(), output_event)]
            return partial(store.put_execution, execution, pairs, [context], reuse_context_if_already_exist=True)

        return timed([call(number) for number in range(calls)], calls)

    def gets(self, calls: int) -> dict[str, dict[str, float]]:
        """Get artifacts that were put above, one a call, spread over all of them."""
        store, step = self.store, 7_919  # A prime: neighbours in time are none in the store.
        numbers = [number * step % self._made for number in range(calls)]
        ways: dict[str, list[Callable[[], Any]]] = {
            "get by id": [partial(store.get_artifacts_by_id, [number + 1]) for number in numbers],
            "get by type and name": [
                partial(store.get_artifact_by_type_and_name, "Model", name_of(number)) for number in numbers
            ],
            "get by uri": [partial(store.get_artifacts_by_uri, uri_of(number)) for number in numbers],
        }
        for calls_of_way in ways.values():
            assert calls_of_way[0](), "what was put is found"
        return {name: timed(calls_of_way, calls) for name, calls_of_way in ways.items()}

    def run(self, sizes: dict[str, int]) -> dict[str, dict[str, float]]:
        """Run every step once, in the order of STEPS."""
        self.put_singles(WARM_UP)
        steps = {"single": self.put_singles(sizes["single"]), "bulk": self.put_bulks(sizes["bulk"])}
        self.put_executions(WARM_UP)
        return {**steps, "execution": self.put_executions(sizes["execution"]), **self.gets(sizes["get"])}


def name_of(number: int) -> str:
    """Return the name of the artifact with a number."""
    return f"model-{number}"


def uri_of(number: int) -> str:
    """Return the uri of the artifact with a number."""
    return f"s3://bucket/models/{number}/saved_model"


def library(package: str) -> dict[str, str]:
    """Return what answers the requests, by name and version."""
    names = (DISTRIBUTIONS[package], "protobuf")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def main() -> None:
    """Run one round and print its figures."""
    package, folder, sizes = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    print(json.dumps({"steps": Workload(package, folder).run(sizes), "library": library(package)}))


if __name__ == "__main__":
    main()
