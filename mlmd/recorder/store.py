"""`mlmd.open`: a store as people use it. One door: what each call does lives in the module named for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from mlmd.display import walk
from mlmd.display.folding import NODES_MAX
from mlmd.recorder import aliases, caching, references
from mlmd.recorder.opening import open_metadata
from mlmd.recorder.run import Recording
from mlmd.recorder.steps import step_of
from mlmd.recorder.things import Artifact, Run

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from mlmd.display.graph import Graph
    from mlmd.display.tables import Table
    from mlmd.moment import At
    from mlmd.recorder.caching import Miss
    from mlmd.recorder.opening import Where
    from mlmd.store import MetadataStore


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

    # Deciding -------------------------------------------------------------------------------------------------------

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
        """Return every version of a name, the newest first."""
        return [Artifact(self.metadata, one) for one in references.versions_of(self.metadata, name)]

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
        return aliases.table_of(self.metadata, name)

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
