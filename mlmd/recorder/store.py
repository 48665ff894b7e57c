"""`mlmd.open`: a store as people use it. One door: what each call does lives in the module named for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from mlmd import names
from mlmd.display import walk
from mlmd.display.folding import NODES_MAX
from mlmd.recorder import aliases, caching, compare, impact, marks, references, retention, search, taint
from mlmd.recorder.opening import open_metadata
from mlmd.recorder.run import Recording
from mlmd.recorder.steps import step_of
from mlmd.recorder.things import Artifact, Run
from mlmd.recorder.values import name_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    import replay
    from mlmd.display.graph import Graph
    from mlmd.display.tables import Table
    from mlmd.marking import Tainted
    from mlmd.mentions import Mention
    from mlmd.moment import At
    from mlmd.proofs import Proof
    from mlmd.recorder.caching import Miss
    from mlmd.recorder.compare import Comparison
    from mlmd.recorder.impact import Impact
    from mlmd.recorder.marks import Marked
    from mlmd.recorder.opening import Where
    from mlmd.recorder.retention import Plan
    from mlmd.recorder.search import Runs
    from mlmd.store import MetadataStore
    from projections.duck.database import Relation


class Store:
    """A store, in process, of a server, or as it was. `metadata` is its client of ML Metadata: all of that works beside this."""

    def __init__(self, metadata: MetadataStore) -> None:
        self.metadata = metadata

    def at(self, when: At | str) -> Store:
        """Return the store as it was: the same object for reading.

        when: an offset, a datetime with a zone, or a text: "2026-03-01", "yesterday", "3 days ago", "#31907". Raises
        InvalidArgumentError for what is no moment, OutOfRangeError for one that is yet to come.
        """
        return Store(self.metadata.as_of(when))

    def acting(
        self,
        *,
        actor: str | None = None,
        reason: str | None = None,
        subject: str | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> AbstractContextManager[None]:
        """Say who acts and why in a `with` block: see `MetadataStore.acting`."""
        return self.metadata.acting(actor=actor, reason=reason, subject=subject, key=key)

    # Recording ------------------------------------------------------------------------------------------------------

    def run(
        self,
        type: str,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        name: str | None = None,
        contexts: Mapping[str, str | Iterable[str]] | None = None,
        code: Any = None,
    ) -> Recording:
        """Return what records a run: `with s.run("Trainer", params={"lr": .1}) as r:`, or `async with`.

        type: what kind of run it is, registered when it is first used. params: int, float, str, bool, None, lists and dicts of them.
        name: unique among the runs of its type. contexts: what it belongs to, as {type: name or names}, such as {"Experiment": "taxi"}.
        code: a function, module or path whose digest tells this code from other code when `cached` is asked. Raises
        InvalidArgumentError, FailedPreconditionError for a store as it was.
        """
        return Recording(self.metadata, type, params=params, tags=tags, name=name, contexts=contexts, code=code)

    # Run before? ----------------------------------------------------------------------------------------------------

    def cached(
        self, type: str, inputs: Any = None, params: Mapping[str, Any] | None = None, code: Any = None
    ) -> Run | Miss:
        """Return the run that did this before, else a Miss, which is false and says what differs from the nearest one.

        inputs: a list of references ("taxi:7", ...), or a dict of them by role. code: as given to `run`; None: that of the newest run of the type. What is tainted, failed, lost or
        marked for deletion is not found. Raises NotFoundError for an input that is not there, InvalidArgumentError.
        """
        return caching.cached(caching.Question(self.metadata, type, inputs, params, code))

    def reuse(self, run: Any) -> Run:
        """Record that a run is used again, instead of running it: a run in state CACHED with the same inputs and outputs.

        run: what `cached` found. Raises InvalidArgumentError, NotFoundError.
        """
        return caching.reuse(self.get_run(run))

    def step(
        self,
        function: Callable[..., Any] | None = None,
        *,
        type: str | None = None,
        cache: bool | str = False,
        tags: Mapping[str, str] | None = None,
    ) -> Any:
        """Make a step of a function, sync or async: `@s.step(cache=True)`. Each call is a run; see `mlmd.recorder.steps`.

        type: of the runs, the function's name if None. cache: True: a call that was made before, with the same code, inputs and
        parameters, returns what was made then, and is recorded as CACHED; "why": the same, and says on standard error what differs
        where it runs. Raises InvalidArgumentError.
        """

        def make(one: Callable[..., Any]) -> Callable[..., Any]:
            return step_of(self.metadata, one, type_name=type, cache=cache, tags=tags)

        return make if function is None else make(function)

    # Looking up -----------------------------------------------------------------------------------------------------

    def artifact(self, reference: Any, type: str | None = None) -> Artifact:
        """Return an artifact: "taxi:7", "taxi@prod", "taxi" (the newest version that may be used), "art:3", a URI, a path.

        Raises NotFoundError, InvalidArgumentError for what names no artifact, or several.
        """
        return Artifact(self.metadata, references.artifact_of(self.metadata, reference, type))

    def get_run(self, reference: Any) -> Run:
        """Return a run: "run:5", its id, or the name it was given. Raises as `artifact`."""
        return Run(self.metadata, references.execution_of(self.metadata, reference))

    def versions(self, name: str) -> list[Artifact]:
        """Return every version of a name, the newest first. Raises InvalidArgumentError for what is no name."""
        return [Artifact(self.metadata, one) for one in references.versions_of(self.metadata, name_of(name))]

    # The past, and SQL --------------------------------------------------------------------------------------------------

    def diff(self, since: At | str, until: At | str = "now", types: Collection[str] | None = None) -> replay.Diff:
        """Return what was added, changed and linked between two moments, and by whom: see `MetadataStore.diff`."""
        return self.metadata.diff(since, until, types)

    def history(self, thing: Any) -> list[replay.Difference]:
        """Return every version of a thing, the first one first, each with the record that put it. thing: as for `lineage`.

        Raises NotFoundError, InvalidArgumentError; UnimplementedError for a server's store.
        """
        return self.metadata.history(names.name_of(references.thing_of(self.metadata, thing)))

    def blame(self, thing: Any) -> list[replay.Blame]:
        """Return for each field and property of a thing the record that set it. Raises as `history`."""
        return self.metadata.blame(names.name_of(references.thing_of(self.metadata, thing)))

    def sql(self, query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Relation:
        """Return the answer to a question in SQL: see `mlmd.sql`."""
        from mlmd.analytics import sql  # noqa: PLC0415 - DuckDB takes 90 ms, and who records does not ask

        return sql(self.metadata, query, params)

    def prove(self, thing: Any, *, sign: bool = True) -> Proof:
        """Return the proof, for anyone without this store, that a record is in the log: `s.prove("taxi-model:31").save("proof.txt")`.

        thing: as for `lineage`: the last record that put it, and nothing else of that record is shown; or "#31907": that record as a
        whole. What it proves: `mlmd.check("proof.txt", policy=...)`. sign: publish a checkpoint where there is a key and none is over the
        record. Raises NotFoundError, InvalidArgumentError, OutOfRangeError, FailedPreconditionError; UnimplementedError for a server's store.
        """
        from mlmd.proofs import prove  # noqa: PLC0415 - who records does not prove

        return prove(self.metadata, references.record_of(self.metadata, thing), sign=sign)

    # Lineage --------------------------------------------------------------------------------------------------------

    def lineage(self, *roots: Any, up: int | None = None, down: int | None = None, nodes_max: int = NODES_MAX) -> Graph:
        """Return what things were made from, and what was made from them: a picture in a notebook, a tree at a terminal, a data frame.

        roots: as for `artifact`, or "run:5", or a run. up, down: hops against and along the flow of data, one from an artifact to a
        run or back; all where neither is given, none where the other is. nodes_max: of more, the nearest. Raises as `artifact`.
        """
        return walk.lineage(self.metadata, roots, up=up, down=down, nodes_max=nodes_max)

    def path(self, start: Any, stop: Any) -> Graph:
        """Return the shortest ways that data took between two things; where neither was made from the other, from what both were made from.

        Raises NotFoundError where they have nothing in common; else as `artifact`.
        """
        return walk.path(self.metadata, start, stop)

    # Deciding -------------------------------------------------------------------------------------------------------

    def runs(
        self,
        filter: str = "",
        *,
        state: str | None = None,
        sort: str = "-created",
        types: Collection[str] | str | None = None,
    ) -> Runs:
        """Return the runs that a filter leaves: `s.runs("m.acc > .9 and not tainted", sort="-m.acc")`; a slice is a page. See `search.runs`."""
        return search.runs(self.metadata, filter, state=state, sort=sort, types=types)

    def latest(self, type: str, filter: str = "", *, name: str | None = None, even: bool = False) -> Artifact | None:
        """Return the artifact of a type that was made last and may be used: `s.latest("Model", "acc > .9")`. See `search.latest`."""
        return search.latest(self.metadata, type, filter, name=name, even=even)

    def search(self, text: str, *, limit: int = 20) -> list[Mention]:
        """Return what has a text in its name, uri or properties, best first. Raises InvalidArgumentError."""
        return search.search(self.metadata, text, limit=limit)

    def compare(self, *runs: Any) -> Comparison:
        """Return what differs between runs, or one run at several moments, and where their lineages part: see `compare`."""
        return compare.compare(self.metadata, *runs)

    def impact(self, thing: Any) -> Impact:
        """Return everything that was made from an artifact or by a run, what is in use first: `s.impact("taxi:6").taint("label leak")`."""
        return impact.impact(self.metadata, thing)

    def taint(self, things: Any, because: str, *, downstream: bool = True) -> Tainted:
        """Mark things, and everything made from them, as not to be used, in one record: see `taint`."""
        return taint.taint(self.metadata, things, because, downstream=downstream)

    def untaint(self, things: Any, because: str, *, downstream: bool = True) -> Tainted:
        """Take that mark away from them, and from what was made from them and bears the same one: see `taint`."""
        return taint.untaint(self.metadata, things, because, downstream=downstream)

    def mark(self, name: str, when: At | str = "now") -> Marked:
        """Give a moment a name: `s.mark("release-4")`, then `s.at("mark:release-4")`. See `marks`."""
        return marks.mark(self.metadata, name, when)

    def retention(self, policy: Mapping[str, Any]) -> Plan:
        """Return what a policy does not keep, and why the rest stays; `.apply()` marks it for deletion. See `retention`."""
        return retention.plan(self.metadata, policy)

    # Aliases --------------------------------------------------------------------------------------------------------

    def alias(self, alias: str, artifact: Any) -> Artifact | None:
        """Let an alias stand for an artifact from here on, on record: `s.alias("taxi-model@prod", "taxi-model:31")`; None takes it away.

        Which it stood for at a moment: `s.at("2026-03-03").artifact("taxi-model@prod")`. Raises InvalidArgumentError, NotFoundError.
        """
        found = None if artifact is None else references.artifact_of(self.metadata, artifact)
        aliases.move(self.metadata, alias, found)
        return None if found is None else Artifact(self.metadata, found)

    def aliases(self, name: str | None = None) -> Table:
        """Return the aliases of a name, or all: what each stands for, and since when."""
        return aliases.table_of(self.metadata, None if name is None else name_of(name))

    def alias_history(self, alias: str) -> Table:
        """Return what an alias stood for, since when, by whom and why, the newest first.

        Raises NotFoundError; UnimplementedError for a server's store, whose log is not at hand.
        """
        return aliases.history_of(self.metadata, alias)

    def close(self) -> None:
        """Close the store."""
        self.metadata.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(where: Where | None = None) -> Store:
    """Open a store: `mlmd.open`.

    where: a folder, which is made if it is not there; "host:8080", a server; ":memory:", one that ends with the process; a config or a
    MetadataStore of ML Metadata; nothing: what EVLOG_STORE says, else the first store from here upward, else `metadata`, which is made. Raises InvalidArgumentError for what names no
    store, RuntimeError where it cannot be opened.
    """
    return Store(open_metadata(where))
