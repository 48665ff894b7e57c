"""Aliases: names that move, such as taxi-model@prod.

Each is a context of type `evlog.Alias`, put again when it is moved, so that its past is in the log. `@latest` is none of them: it is
the newest version that may be used, found by its name.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import replay
from evlog.records import NodePut
from mlmd import errors
from mlmd.display.cells import time_of
from mlmd.display.tables import Table
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import words
from mlmd.recorder.contexts import put_named
from mlmd.recorder.standing import why_tainted
from mlmd.recorder.values import name_of, quoted
from mlmd.store import ListOptions, MetadataStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evlog.log import Log
    from projections.sqlite.view import View

_FORM: Final = "write NAME@ALIAS, such as taxi-model@prod"


class Alias(NamedTuple):
    """An alias, and the artifact it stands for; None once it was taken away."""

    name: str
    artifact_id: int | None
    context_id: int
    time_ms: int  # When it was moved last.


class Move(NamedTuple):
    """What an alias stands for from one record on; None: for nothing."""

    by: replay.Provenance
    artifact_id: int | None


def own_name(artifact: pb.Artifact) -> str | None:
    """Return the name that the recorder gave an artifact, without its version."""
    return artifact.custom_properties[words.NAME].string_value if words.NAME in artifact.custom_properties else None


def label_of(artifact: pb.Artifact) -> str:
    """Return how a person names an artifact: taxi:7, else art:3; one that is not put yet, by its URI."""
    return artifact.name or (f"art:{artifact.id}" if artifact.id else artifact.uri)


def split(text: object) -> tuple[str, str]:
    """Return (name, alias) of NAME@ALIAS. Raises InvalidArgumentError."""
    if not isinstance(text, str) or text.count("@") != 1:
        raise errors.InvalidArgumentError(f"{text!r} is no alias: {_FORM}")
    name, _, alias = text.partition("@")
    return name_of(name, f"{text}: the name"), name_of(alias, f"{text}: the alias")


def alias_of(metadata: MetadataStore, text: str) -> Alias | None:
    """Return an alias, None where there never was one of that name."""
    context = metadata.get_context_by_type_and_name(words.ALIAS_TYPE, text)
    return None if context is None else _alias(context)


def _alias(context: pb.Context) -> Alias:
    found = context.properties.get(words.ALIAS_ARTIFACT)
    artifact_id = found.int_value if found is not None and found.HasField("int_value") else None
    return Alias(context.name, artifact_id, context.id, context.last_update_time_since_epoch)


def move(metadata: MetadataStore, text: str, artifact: pb.Artifact | None) -> Alias:
    """Let an alias stand for an artifact from here on; None: for nothing. One record. Raises InvalidArgumentError, NotFoundError."""
    name, alias = split(text)
    if alias == words.LATEST:
        raise errors.InvalidArgumentError(
            f"{text} follows from the versions themselves: choose another alias, such as {name}@prod"
        )
    if artifact is not None and (own := own_name(artifact)) not in (None, name):
        raise errors.InvalidArgumentError(
            f"{text} stands for versions of {name}, and art:{artifact.id} is one of {own}: {own}@{alias}"
        )
    if artifact is None and ((known := alias_of(metadata, text)) is None or known.artifact_id is None):
        raise errors.NotFoundError(f"there is no {text}{_others(metadata, name)}")

    said = pb.Context()
    if artifact is not None:
        said.properties[words.ALIAS_ARTIFACT].int_value = artifact.id
    return _alias(put_named(metadata, words.ALIAS_TYPE, {words.ALIAS_ARTIFACT: pb.INT}, text, said))


def aliases_of(metadata: MetadataStore, name: str | None = None) -> list[Alias]:
    """Return the aliases that stand for something: of one name, or all, by name."""
    return sorted(_all(metadata, name))


def _all(metadata: MetadataStore, name: str | None) -> Iterator[Alias]:
    for context in _contexts(metadata, name):
        alias = _alias(context)
        if alias.artifact_id is not None and (name is None or context.name.startswith(f"{name}@")):
            yield alias


def _contexts(metadata: MetadataStore, name: str | None) -> Iterable[pb.Context]:
    if name is None:
        return metadata.get_contexts_by_type(words.ALIAS_TYPE)
    wanted = f"type = {quoted(words.ALIAS_TYPE)} AND name LIKE {quoted(name + '@%')}"  # A _ in it finds more: see the caller.
    return metadata.get_contexts(ListOptions(filter_query=wanted))


def standing_for(metadata: MetadataStore, ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the aliases that stand for artifacts, by the artifact's id; those that have none are not there. One call."""
    listed = ", ".join(map(str, ids))
    if not listed:
        return {}
    wanted = f"type = {quoted(words.ALIAS_TYPE)} AND properties.{words.ALIAS_ARTIFACT}.int_value IN ({listed})"
    found: dict[int, list[str]] = {}
    for alias in sorted(map(_alias, metadata.get_contexts(ListOptions(filter_query=wanted)))):
        found.setdefault(alias.artifact_id or 0, []).append(alias.name)
    return found


def table_of(metadata: MetadataStore, name: str | None = None) -> Table:
    """Return the aliases of a name, or all, as a table."""
    found = aliases_of(metadata, name)
    artifacts = {one.id: one for one in metadata.get_artifacts_by_id({alias.artifact_id or 0 for alias in found})}
    rows = [
        (alias.name, label_of(artifact), artifact.type, why_tainted(artifact) or None, time_of(alias.time_ms))
        for alias in found
        if (artifact := artifacts.get(alias.artifact_id or 0)) is not None
    ]
    return Table(
        ("alias", "artifact", "type", "tainted", "since"), rows, f"{len(rows)} aliases" if len(rows) != 1 else "1 alias"
    )


def history_of(metadata: MetadataStore, text: str) -> Table:
    """Return what an alias stood for, the newest first. Raises NotFoundError; UnimplementedError for a server."""
    split(text)
    context = metadata.get_context_by_type_and_name(words.ALIAS_TYPE, text)
    if context is None:
        raise errors.NotFoundError(f"there never was a {text}{_others(metadata, text.partition('@')[0])}")
    moves = moves_of(metadata, context.id)
    artifacts = {one.id: one for one in metadata.get_artifacts_by_id({one for _, one in moves if one is not None})}
    rows = [
        (by.time, label_of(artifacts[one]) if one is not None else None, by.actor, by.reason, by.offset)
        for by, one in moves
    ]
    return Table(("since", "artifact", "actor", "reason", "offset"), rows, text)


def moves_of(metadata: MetadataStore, context_id: int, most: int | None = None) -> list[Move]:
    """Return what the alias of a context stood for, the newest first. most: how many, None for all. Raises UnimplementedError for a server."""

    def question(log: Log, view: View, end: int) -> list[Move]:
        puts = replay.history(log, view, ("context", context_id), end, links=False, newest_first=True)
        return [Move(one.by, _stood(one.after)) for one in islice(puts, most) if isinstance(one.after, NodePut)]

    return metadata._backend.review(question)  # noqa: SLF001 - one face of the same house


def _stood(put: NodePut) -> int | None:
    found = put.properties.get(words.ALIAS_ARTIFACT)
    return found if isinstance(found, int) else None


def ever_of(metadata: MetadataStore, name: str) -> list[Alias]:
    """Return the aliases of a name, those too that were taken away: the one moved last first."""
    found = [_alias(context) for context in _contexts(metadata, name) if context.name.startswith(f"{name}@")]
    return sorted(found, key=lambda one: (-one.time_ms, one.name))


def _others(metadata: MetadataStore, name: str) -> str:
    """Return what else a name has, for a refusal."""
    known = [alias.name for alias in aliases_of(metadata, name)]
    return f": {name} has {', '.join(known)}" if known else ""
