"""What looking back costs: the same reads of one store, now and as of moments early, in the middle and late in its life.

    python past.py make FOLDER RECORDS     a store of so many puts
    python past.py ask FOLDER CALLS        prints {"now": {question: us, ...}, "then": {moment: {question: us, ...}, ...}}

Times are CPU time: what is compared runs in one process, and the kernel's cache holds the store.

Half of the puts are new artifacts, a third puts one of them again, the rest are executions that read two artifacts and make one. Every
artifact belongs to a context of about a hundred. Ids are taken from those there are at every moment asked about, so that each question
finds something each time; each call asks about something else than the one before.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alone import open_store, put_type

import mlmd
from evlog.author import Author, clock_us
from evlog.log import Log
from evlog.records import (
    ArtifactPut,
    AssociationPut,
    AttributionPut,
    Change,
    ContextPut,
    EventPut,
    ExecutionPut,
    Record,
)
from mlmd.opening import LOG_FOLDER, VIEWS_FOLDER
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlmd.metadata_store import MetadataStore

GROUP_RECORDS: Final = 1_000
OWNERS: Final = 100
CONTEXT_ARTIFACTS: Final = 100
NEWEST: Final = 2_000  # From which executions read.
MOMENTS: Final = (0.05, 0.5, 0.95)
FEWEST_RECORDS: Final = 600  # By then there is something of everything.
PAGE: Final = 100
HOPS: Final = 6
TURNS: Final = 5
MODEL, TRAINER, RUN = 10, 11, 12


class History:
    """The puts, in order: `changes` yields those of each record."""

    def __init__(self) -> None:
        self._dice = random.Random(1)
        self._artifacts: list[int] = []  # The owner of each, by id - 1.
        self._executions = self._events = self._contexts = 0

    def changes(self) -> Iterator[list[Change]]:
        """Yield the changes of one put after the other."""
        dice = self._dice
        while True:
            choice = dice.random()
            if choice < 1 / 2 or len(self._artifacts) < CONTEXT_ARTIFACTS:
                yield self._new()
            elif choice < 5 / 6:
                yield [self._artifact(dice.randrange(len(self._artifacts)) + 1, again=True)]
            else:
                yield self._run()

    def _new(self) -> list[Change]:
        self._artifacts.append(clock_us() // 1000)
        artifact, changes = len(self._artifacts), []
        if artifact > self._contexts * CONTEXT_ARTIFACTS:
            self._contexts += 1
            now_ms = clock_us() // 1000
            changes = [ContextPut(self._contexts, RUN, now_ms, now_ms, name=f"run-{self._contexts}")]
        return [*changes, self._artifact(artifact, again=False), AttributionPut(self._contexts, artifact)]

    def _artifact(self, artifact: int, *, again: bool) -> Change:
        version = self._dice.randrange(1_000) if again else 0
        return ArtifactPut(
            id=artifact,
            type_id=MODEL,
            create_time_ms=self._artifacts[artifact - 1],
            update_time_ms=clock_us() // 1000,
            name=f"model-{artifact}",
            properties={
                "layers": version,
                "rank": artifact * 7_919 % 1_000 / 10,
                "owner": f"team-{(artifact + version) % OWNERS}",
            },
            uri=f"s3://bucket/models/model-{artifact}/{version}",
            state="LIVE",
        )

    def _run(self) -> list[Change]:
        now_ms, dice = clock_us() // 1000, self._dice
        self._executions += 1
        number, last = self._executions, len(self._artifacts)
        read = dice.sample(range(max(0, last - NEWEST), last), 2)
        made = self._new()
        put: Any = next(change for change in made if isinstance(change, ArtifactPut))
        events = [(one + 1, "INPUT") for one in read] + [(put.id, "OUTPUT")]
        changes = [
            *made,
            ExecutionPut(number, TRAINER, now_ms, now_ms, name=f"trainer-{number}", state="COMPLETE"),
            AssociationPut(self._contexts, number),
        ]
        for artifact, form in events:
            self._events += 1
            changes.append(EventPut(self._events, artifact, number, form, now_ms))
        return changes


def make(place: Path, records: int) -> None:
    """Make the store: records go to the log in large groups, the view is then a rebuild."""
    store = open_store(place)
    assert put_type(store) == MODEL
    assert store.put_execution_type(pb.ExecutionType(name="Trainer")) == TRAINER
    assert store.put_context_type(pb.ContextType(name="Run")) == RUN
    store.close()
    log, author, changes = Log.open(place / LOG_FOLDER), Author(), History().changes()
    while log.end < records:
        with log.claim() as group:
            for _ in range(min(GROUP_RECORDS, records - log.end)):
                if group.full:
                    break
                group.add(Record(author.envelope("PutArtifacts", clock_us()), next(changes)))
            group.commit()
    log.close()
    shutil.rmtree(place / VIEWS_FOLDER)
    open_store(place).close()


def ask(place: Path, calls: int) -> dict[str, Any]:
    """Ask everything now and as of each moment, in turn."""
    now = open_store(place)
    end = now._backend.log.end  # type: ignore[union-attr]
    moments = [max(FEWEST_RECORDS, int(end * part)) for part in MOMENTS]
    thens = [now.as_of(moment) for moment in moments]
    sizes = [_last_id(thens[0], many) for many in ("artifacts", "executions", "contexts")]
    steps = [(store, dict[str, float]()) for store in (now, *thens)]
    for name, question in _questions(*sizes).items():
        found: list[list[float]] = [[] for _ in steps]
        for turn in range(TURNS):
            for times, (store, _) in zip(found, steps, strict=True):
                times.append(_timed(question, store, turn * calls, calls))
        for times, (_, us) in zip(found, steps, strict=True):
            us[name] = statistics.median(times)
    now.close()
    return {"now": steps[0][1], "then": {f"#{moment}": us for moment, (_, us) in zip(moments, steps[1:], strict=True)}}


def _last_id(store: MetadataStore, many: str) -> int:
    newest = mlmd.ListOptions(limit=1, order_by=mlmd.OrderByField.ID, is_asc=False)
    return getattr(store, f"get_{many}")(newest)[0].id


def _timed(question: Callable[[MetadataStore, int], Any], store: MetadataStore, start: int, calls: int) -> float:
    """Return microseconds a call, the first one left out: it gets ready for the moment."""
    assert question(store, start), "something is found"
    begun = time.process_time()
    for number in range(start, start + calls):
        question(store, number)
    return (time.process_time() - begun) / calls * 1e6


def _questions(artifacts: int, executions: int, contexts: int) -> dict[str, Callable[[MetadataStore, int], Any]]:
    def some(number: int, of: int) -> int:
        return number * 7_919 % of + 1

    def listed(options: Callable[[int], mlmd.ListOptions], store: MetadataStore, number: int) -> Any:
        return store.get_artifacts(options(number))

    def options(order: mlmd.OrderByField, *, up: bool = True) -> mlmd.ListOptions:
        return mlmd.ListOptions(limit=PAGE, order_by=order, is_asc=up)

    def filtered(text: Callable[[int], str], store: MetadataStore, number: int) -> Any:
        return store.get_artifacts(mlmd.ListOptions(limit=PAGE, filter_query=text(number)))

    def lineage(store: MetadataStore, number: int) -> Any:
        wanted = pb.LineageSubgraphQueryOptions(max_num_hops=HOPS, direction=pb.LineageSubgraphQueryOptions.UPSTREAM)
        wanted.starting_executions.filter_query = f"id = {some(number, executions)}"
        return store.get_lineage_subgraph(wanted).events

    return {
        "get by id": lambda store, n: store.get_artifacts_by_id([some(n, artifacts)]),
        "get 100 by id": lambda store, n: store.get_artifacts_by_id([some(n + i, artifacts) for i in range(PAGE)]),
        "get by type and name": lambda store, n: store.get_artifact_by_type_and_name(
            "Model", f"model-{some(n, artifacts)}"
        ),
        "get by uri": lambda store, n: [
            *store.get_artifacts_by_uri(f"s3://bucket/models/model-{some(n, artifacts)}/0"),
            n,
        ],
        "first page": partial(listed, lambda _: options(mlmd.OrderByField.ID)),
        "last page": partial(listed, lambda _: options(mlmd.OrderByField.ID, up=False)),
        "page by creation": partial(listed, lambda _: options(mlmd.OrderByField.CREATE_TIME, up=False)),
        "page by update, the latest first": partial(listed, lambda _: options(mlmd.OrderByField.UPDATE_TIME, up=False)),
        "page by update": partial(listed, lambda _: options(mlmd.OrderByField.UPDATE_TIME)),
        "filter by a property": partial(
            filtered, lambda n: f"properties.owner.string_value = 'team-{some(n, OWNERS) - 1}'"
        ),
        "filter by a property's range": partial(filtered, lambda n: f"properties.rank.double_value > {90 + n % 5}"),
        "filter by a context": partial(filtered, lambda n: f"contexts_a.name = 'run-{some(n, contexts)}'"),
        "filter by type": partial(filtered, lambda n: f"type = 'Model' AND state = LIVE AND id > {some(n, artifacts)}"),
        "artifacts of a context": lambda store, n: store.get_artifacts_by_context(some(n, contexts)),
        "events of an execution": lambda store, n: store.get_events_by_execution_ids([some(n, executions)]),
        "contexts of an artifact": lambda store, n: store.get_contexts_by_artifact(some(n, artifacts)),
        f"lineage, {HOPS} hops up": lineage,
        "types": lambda store, _: store.get_artifact_types(),
    }


def main() -> None:
    """Do what the command line says."""
    what, folder, number = sys.argv[1:]
    print(json.dumps({"make": make, "ask": ask}[what](Path(folder), int(number))))


if __name__ == "__main__":
    main()
