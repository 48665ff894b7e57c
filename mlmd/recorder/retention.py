"""Retention: what a policy does not keep is marked for deletion, in one record. No byte of anybody's is deleted here: their owners do that.

Whatever the rules say, three things stay: what is held, what an alias stands for, and what that was made from. What goes stays in the store
as a stub: id, type, name, digest, uri; so every event of every run leads to a node or to a stub, and the lineage stays whole.
"""

from __future__ import annotations

import hashlib
import json
import time
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlmd.convert import state_of
from mlmd.display.cells import time_of
from mlmd.display.tables import Table
from mlmd.errors import NotFoundError
from mlmd.kinds import ARTIFACT
from mlmd.marking import RETIRE, Retire
from mlmd.names import name_of
from mlmd.reaching import REACH, Reach, parts
from mlmd.recorder import words
from mlmd.recorder.aliases import alias_of, aliases_of, own_name
from mlmd.recorder.policy import Hold, Keep, Policy, checked
from mlmd.recorder.search import every, filter_text
from mlmd.recorder.standing import is_tainted
from mlmd.recorder.values import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlmd.kinds import Node
    from mlmd.store import MetadataStore

_GONE: Final = ("MARKED_FOR_DELETION", "DELETED")
_PAGE: Final = 500
ALREADY: Final = "marked already"
NO_RULE: Final = "no rule"


class Stub(NamedTuple):
    """What is known of an artifact for good. why: which rule lets it go; updated_ms: its version when that was decided."""

    id: int
    type: str
    name: str | None
    digest: str | None
    uri: str
    created_ms: int
    updated_ms: int
    why: str

    @property
    def line(self) -> str:
        """Return what identifies it, as a line of JSON."""
        return json.dumps([self.id, self.type, self.name, self.digest, self.uri], ensure_ascii=False)


class Proof(NamedTuple):
    """That the graph stays connected: so many events, of so many runs, lead to stubs. stubs: the SHA-256 of their lines.

    unidentified: stubs with neither digest, uri nor name, which are an id and a type and no more.
    """

    events: int
    runs: int
    stubs: str
    unidentified: int


@dataclass
class Plan:
    """What a policy lets go, and why each of the others stays. kept: the reason by id."""

    store: MetadataStore
    going: list[Stub]
    kept: Mapping[int, str]
    proof: Proof
    done: bool = False

    def table(self, limit: int | None = None) -> Table:
        """Return what goes as a table. limit: how many, None for all."""
        columns = ("artifact", "id", "type", "name", "digest", "uri", "created", "why")
        rows = [
            (
                one.name or name_of(("artifact", one.id)),
                one.id,
                one.type,
                one.name,
                one.digest,
                one.uri,
                time_of(one.created_ms),
                one.why,
            )
            for one in self.going[:limit]
        ]
        return Table(columns, rows, self.in_words())

    def kept_table(self, limit: int | None = None) -> Table:
        """Return what stays as a table, each with its reason. limit: how many, None for all."""
        rows = [(name_of(("artifact", one)), one, why) for one, why in list(self.kept.items())[:limit]]
        return Table(("artifact", "id", "why"), rows, self.in_words())

    def in_words(self) -> str:
        """Return how much goes, how much stays and why, and that the graph stays connected."""
        counts = Counter(why.partition(":")[0] for why in self.kept.values())
        stays = ", ".join(f"{number:,} {why}" for why, number in counts.most_common())
        told = f"{len(self.going):,} {'went' if self.done else 'would go'}, {len(self.kept):,} stay"
        whole = f"the graph stays connected: {self.proof.events:,} events of {self.proof.runs:,} runs lead to {len(self.going):,} stubs"
        if self.proof.unidentified:
            whole += f", {self.proof.unidentified:,} of them with neither digest, uri nor name"
        return f"{told}{f' ({stays})' if stays else ''}; {whole}"

    def apply(self, reason: str | None = None) -> int:
        """Mark what goes for deletion, in one record; return how many. The record says why, and the digest of the stubs.

        Raises FailedPreconditionError where the store has moved on so that something planned to go is to stay: plan again.
        """
        if not self.going:
            return 0
        said = f"{f'{reason}; ' if reason else ''}retention of {len(self.going)} artifacts, stubs sha256:{self.proof.stubs}"
        with self.store.acting(reason=said):
            self.store.answer(RETIRE, Retire(tuple((one.id, one.updated_ms) for one in self.going)))
        self.done = True
        return len(self.going)

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def plan(store: MetadataStore, policy: Policy | Mapping[str, Any], *, now_ms: int | None = None) -> Plan:
    """Return what a policy lets go. now_ms: for ages, the clock's by default. Raises InvalidArgumentError, NotFoundError for a held alias that is not there."""
    rules = checked(policy)
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    safe = _held(store, rules.hold)
    for one, why in _aliased(store).items():
        safe.setdefault(one, why)
    newest = _Newest()
    kept: dict[int, str] = {}
    candidates: list[tuple[Stub, Keep, int]] = []
    for node in every(store, "artifact"):
        if state_of(ARTIFACT, node) in _GONE:
            kept[node.id] = ALREADY
            continue
        found = next(
            ((number, rule) for number, rule in enumerate(rules.keep, 1) if rule.type in (None, node.type)), None
        )
        if found is None:
            kept[node.id] = safe.get(node.id, NO_RULE)
            continue
        newest.add(node)
        candidates.append((_stub(node), found[1], found[0]))
    going = []
    for stub, rule, number in candidates:
        why = safe.get(stub.id) or _stays(stub, rule, newest, now_ms)
        if why:
            kept[stub.id] = why
        else:
            going.append(stub._replace(why=_goes(rule, number)))
    return Plan(store, going, dict(sorted(kept.items())), _proof(store, going))


def _stub(node: Node) -> Stub:
    custom = node.custom_properties
    digest = custom[words.DIGEST].string_value if words.DIGEST in custom else None
    name = str(node.name) or None
    return Stub(
        node.id, node.type, name, digest, node.uri, node.create_time_since_epoch, node.last_update_time_since_epoch, ""
    )


def _stays(stub: Stub, rule: Keep, newest: _Newest, now_ms: int) -> str:
    """Return why a rule keeps an artifact, "" where it does not."""
    if rule.newest is not None and newest.rank(stub.id) < rule.newest:
        return f"newest: {rule.newest} of each name"
    if rule.younger is not None and now_ms - stub.created_ms < rule.younger_ms:
        return f"younger: than {rule.younger}"
    return ""


def _goes(rule: Keep, number: int) -> str:
    told = [f"not of the newest {rule.newest}"] if rule.newest is not None else []
    told += [f"older than {rule.younger}"] if rule.younger is not None else []
    return f"rule {number}: {', '.join(told)}"


class _Newest:
    """Which artifacts are the newest of their name. Those without a name count, for each type, as of one; what is tainted, not at all."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], list[int]] = {}
        self._of: dict[int, list[int]] = {}

    def add(self, node: Node) -> None:
        """Take one in; they come by ascending id."""
        own = own_name(node)
        name = str(node.name) if own is None else own
        ids = self._of[node.id] = self._names.setdefault((node.type, name), [])
        if not is_tainted(node):  # Else a bad series would push out the last one that may be used.
            ids.append(node.id)

    def rank(self, one: int) -> int:
        """Return how many of its name are newer."""
        ids = self._of[one]
        return len(ids) - bisect_right(ids, one)


# What stays whatever the rules say ------------------------------------------------------------------------------------


def _held(store: MetadataStore, holds: Sequence[Hold]) -> dict[int, str]:
    """Return what is held, with the reason."""
    found: dict[int, str] = {}
    for hold in holds:
        for one in _of_hold(store, hold):
            found.setdefault(one, f"held: {hold.because}")
    return found


def _of_hold(store: MetadataStore, hold: Hold) -> Iterator[int]:
    if hold.alias is not None:
        alias = alias_of(store, hold.alias)
        if alias is None or alias.artifact_id is None:
            raise NotFoundError(
                f"there is no {hold.alias}, which the policy holds: a hold that holds nothing is a mistake"
            )
        yield alias.artifact_id
        return
    name = [f"(evlog.name = {quoted(hold.name)} OR name = {quoted(hold.name)})"] if hold.name else []
    text = filter_text("artifact", hold.filter or "", *name, types=hold.type)
    yield from (node.id for node in every(store, "artifact", text))


def _aliased(store: MetadataStore) -> dict[int, str]:
    """Return what an alias stands for, and what that was made from, with the reason."""
    found: dict[int, str] = {}
    for alias in aliases_of(store):
        assert alias.artifact_id is not None, "it stands for something"
        found.setdefault(alias.artifact_id, f"aliased: {alias.name}")
    if found:
        above = store.answer(REACH, Reach("artifact", tuple(found), downstream=False))
        for one in above.artifacts:
            found.setdefault(one, "made into what is aliased")
    return found


# The graph stays connected ---------------------------------------------------------------------------------------------


def _proof(store: MetadataStore, going: Sequence[Stub]) -> Proof:
    """Follow every event of what goes; it leads to a stub."""
    stubs = {one.id: one for one in going}
    digest = hashlib.sha256()
    for one in going:
        digest.update(one.line.encode(errors="surrogatepass") + b"\n")
    events, runs = 0, set()
    for part in parts(list(stubs), _PAGE):
        for event in store.get_events_by_artifact_ids(part):
            assert event.artifact_id in stubs, "asked for"
            events += 1
            runs.add(event.execution_id)
    unidentified = sum(not (one.digest or one.uri or one.name) for one in going)
    return Proof(events, len(runs), digest.hexdigest(), unidentified)
