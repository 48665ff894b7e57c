"""Impact: everything that was made from an artifact or by a run, what is in use first."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mlmd.convert import state_of
from mlmd.display.cells import time_of
from mlmd.display.tables import Table
from mlmd.errors import InvalidArgumentError, NotFoundError
from mlmd.kinds import ARTIFACT
from mlmd.marking import aliased_of
from mlmd.names import name_of
from mlmd.reaching import REACH, Reach, parts
from mlmd.recorder import words
from mlmd.recorder.aliases import label_of
from mlmd.recorder.references import thing_of
from mlmd.recorder.standing import is_tainted
from mlmd.recorder.taint import taint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlmd.kinds import Node
    from mlmd.marking import Tainted
    from mlmd.reaching import Reached
    from mlmd.store import MetadataStore
    from replay.things import Thing

_PUSH: Final = re.compile("push|deploy", re.IGNORECASE)  # Types of runs that bring an artifact to where it is used.
_SHOWN: Final = 20
_PAGE: Final = 500


class Impact:
    """What was made from one thing. `artifacts`, `executions`: the names of their types by id, nearest first; `live`: the ids in use.

    An artifact is in use where an alias stands for it, or where a run whose type says that it pushes or deploys has read it.
    `whole`: False where so many were `enough`, and there may be more.
    """

    def __init__(self, store: MetadataStore, thing: Thing, enough: int | None = None) -> None:
        self._store, self.thing = store, thing
        kind, one = thing
        if kind not in ("artifact", "execution"):
            raise InvalidArgumentError(
                f"{name_of(thing)}: name an artifact or a run: nothing is made from anything else"
            )
        assert isinstance(one, int), "a node has a number"
        if not getattr(store, f"get_{kind}s_by_id")([one]):
            raise NotFoundError(f"there is no {name_of(thing)}")
        found: Reached = store.answer(REACH, Reach(kind, (one,), enough=enough))  # type: ignore[arg-type] # One of two.
        self.artifacts, self.executions = found
        self.whole = enough is None or len(self.artifacts) + len(self.executions) < enough
        self.pushes = [run for run, type_name in self.executions.items() if _PUSH.search(type_name)]

    @cached_property
    def live(self) -> dict[int, list[str]]:
        """Return what is in use, and by what: the aliases that stand for it, the runs that pushed it."""
        found: dict[int, list[str]] = {}
        for context in self._store.get_contexts_by_type(words.ALIAS_TYPE):
            for one in aliased_of([context]):
                if one in self.artifacts and not context.name.endswith(f"@{words.LATEST}"):
                    found.setdefault(one, []).append(context.name)
        for part in parts(self.pushes, _PAGE):
            for event in self._store.get_events_by_execution_ids(part):
                if event.artifact_id in self.artifacts:
                    found.setdefault(event.artifact_id, []).append(name_of(("execution", event.execution_id)))
        return found

    def __len__(self) -> int:
        """Return how many artifacts there are."""
        return len(self.artifacts)

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.artifacts or self.executions)

    def in_order(self) -> list[int]:
        """Return the ids of the artifacts: first those in use, then the others, nearest first."""
        return [
            *(one for one in self.artifacts if one in self.live),
            *(one for one in self.artifacts if one not in self.live),
        ]

    def table(self, limit: int | None = None) -> Table:
        """Return the artifacts as a table, those in use first. limit: how many, None for all."""
        ids = self.in_order()[:limit]
        rows = [self._row(node) for node in self._nodes(ids)]
        return Table(("artifact", "id", "type", "state", "live", "tainted", "created"), rows, self.in_words())

    def _nodes(self, ids: list[int]) -> Iterator[Node]:
        for part in parts(ids, _PAGE):
            nodes = {node.id: node for node in self._store.get_artifacts_by_id(part)}
            yield from (nodes[one] for one in part)

    def _row(self, node: Node) -> list[Any]:
        created = time_of(node.create_time_since_epoch)
        live = ", ".join(self.live.get(node.id, ()))
        return [label_of(node), node.id, node.type, state_of(ARTIFACT, node), live, is_tainted(node), created]

    def in_words(self) -> str:
        """Return how much there is: "9 Model (2 live), 31 runs, 4 pushes"."""
        counts = Counter(self.artifacts.values())
        live = Counter(self.artifacts[one] for one in self.live)
        told = [
            f"{number:,} {type_name}" + (f" ({live[type_name]:,} live)" if live[type_name] else "")
            for type_name, number in sorted(counts.items(), key=lambda one: (-live[one[0]], -one[1], one[0]))
        ]
        told.append(_number(len(self.executions), "run"))
        if self.pushes:
            told.append(_number(len(self.pushes), "push"))
        return ", ".join(told)

    def taint(self, because: str) -> Tainted:
        """Mark the thing and everything made from it as not to be used: see `taint`."""
        return taint(self._store, name_of(self.thing), because)

    def __repr__(self) -> str:
        return str(self.table(_SHOWN)) if self.artifacts else f"from {name_of(self.thing)} was made: {self.in_words()}"

    def _repr_html_(self) -> str:
        return self.table(_SHOWN)._repr_html_()

    def df(self) -> Any:
        """Return a pandas.DataFrame of the artifacts. Raises MissingLibraryError."""
        return self.table().df()


def impact(store: MetadataStore, thing: Any) -> Impact:
    """Return everything that was made from an artifact, or by a run. Raises InvalidArgumentError, NotFoundError."""
    return Impact(store, thing_of(store, thing))


def _number(count: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("sh") else "s")
    return f"{count:,} {noun if count == 1 else plural}"
