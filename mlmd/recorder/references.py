"""How a person names an artifact or a run.

| taxi:7                 | version 7 of what is called taxi                                                          |
| taxi@prod              | what the alias stands for                                                                 |
| taxi, taxi@latest      | the newest version that is neither tainted nor on its way out                             |
| art:3, run:5           | by id, as everywhere                                                                      |
| s3://b/taxi/7, a path  | the newest artifact at a URI                                                              |
| a message, an object   | what was read or recorded before: anything with an id                                     |
| any other text         | the `name` that another client of ML Metadata gave it, if it is the only one              |
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from mlmd import errors, moment, names
from mlmd.kinds import ARTIFACT, EXECUTION
from mlmd.recorder import aliases, words
from mlmd.recorder.standing import usable
from mlmd.recorder.values import is_name, quoted
from mlmd.store import ListOptions, MetadataStore, OrderByField

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlmd.kinds import Kind
    from mlmd.proto import metadata_store_pb2 as pb
    from replay.things import Thing

FORMS: Final = "taxi:7, taxi@prod, taxi, art:3, run:5 or a URI"
_BY_ID: Final = re.compile(r"(art|artifact|run|execution|ctx|context|type):.*", re.DOTALL)
_VERSION: Final = re.compile(r"(.+):(\d{1,18})", re.ASCII)
_LOCAL: Final = "file://"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PAGE: Final = 20


# Which thing --------------------------------------------------------------------------------------------------------


def thing_of(metadata: MetadataStore, value: Any) -> Thing:
    """Return what a reference means: (kind, id), or ("type", name).

    value: a text as above, a message with an id, or an object of ours, which has a `thing`. What is named by id is not looked up.
    Raises NotFoundError for what is not there, InvalidArgumentError for what names nothing, or several things.
    """
    found = getattr(value, "thing", None)
    if isinstance(found, tuple):
        return found
    value = _text(value)
    if not isinstance(value, str):
        try:
            return names.thing_of(value)
        except ValueError:
            raise errors.InvalidArgumentError(
                f"{value!r} names nothing: write {FORMS}, or give what was read or recorded"
            ) from None
    if _BY_ID.fullmatch(value):
        try:
            return names.parse(value)
        except ValueError as error:
            raise errors.InvalidArgumentError(str(error)) from None
    return (ARTIFACT.name, named_artifact(metadata, value).id)


def record_of(metadata: MetadataStore, value: Any) -> Thing | int:
    """Return the offset that "#31907" names, else what a reference means: as `thing_of`, and raises as it does."""
    if not isinstance(value, str) or not value.startswith("#"):
        return thing_of(metadata, value)
    try:
        offset = moment.at(value)
    except ValueError as error:
        raise errors.InvalidArgumentError(str(error)) from None
    assert isinstance(offset, int), "a text that begins with # names an offset"
    return offset


def _text(value: Any) -> Any:
    """Return the text of a path, anything else as it is. An artifact of ours is a path too."""
    return os.fspath(value) if isinstance(value, os.PathLike) and not hasattr(value, "thing") else value


def artifact_of(metadata: MetadataStore, value: Any, type_name: str | None = None) -> pb.Artifact:
    """Return the artifact that a reference means. type_name: it must be of this type. Raises as `thing_of`."""
    value = _text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"art:{value}"
    if isinstance(value, str) and not _BY_ID.fullmatch(value):
        artifact = named_artifact(metadata, value, type_name)
    else:
        artifact = _node(metadata, ARTIFACT, thing_of(metadata, value), value)
    if type_name is not None and artifact.type != type_name:
        raise errors.InvalidArgumentError(f"{value!r} is a {artifact.type} (art:{artifact.id}), no {type_name}")
    return artifact


def execution_of(metadata: MetadataStore, value: Any) -> pb.Execution:
    """Return the execution that a reference means: run:5, its id, an object, or the only one with a name. Raises as `thing_of`."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"run:{value}"
    if isinstance(value, str) and not _BY_ID.fullmatch(value):
        _refuse_what_is_no_text(value)
        found = metadata.get_executions(ListOptions(limit=2, filter_query=f"name = {quoted(value)}"))
        return _only(found, value, "run", "write run:5, or the name that a run was given")
    return _node(metadata, EXECUTION, thing_of(metadata, value), value)


def _refuse_what_is_no_text(text: str) -> None:
    """Raise InvalidArgumentError for an empty text, and for bytes of a shell that are no UTF-8."""
    if not text.strip() or text.encode(errors="ignore").decode() != text:
        raise errors.InvalidArgumentError(f"{text!r} names nothing: write {FORMS}")


def _node(metadata: MetadataStore, kind: Kind, thing: Thing, value: Any) -> Any:
    """Return the node that a thing is. Raises InvalidArgumentError for one of another kind, NotFoundError."""
    if thing[0] != kind.name:
        raise errors.InvalidArgumentError(f"{value!r} is no {_word(kind)}: it is {names.name_of(thing)}")
    found = getattr(metadata, f"get_{kind.plural}_by_id")([thing[1]])
    if not found:
        raise errors.NotFoundError(f"there is no {names.name_of(thing)}")
    return found[0]


def _word(kind: Kind) -> str:
    return "run" if kind is EXECUTION else kind.name


# By name ------------------------------------------------------------------------------------------------------------


def named_artifact(metadata: MetadataStore, text: str, type_name: str | None = None) -> pb.Artifact:
    """Return the artifact that a name, a URI or a path means. type_name: prefer one of this type. Raises as `thing_of`."""
    _refuse_what_is_no_text(text)
    if is_name(text):
        found = _latest(metadata, text) or _foreign(metadata, text, type_name) or at_uri(metadata, text)
        if found is not None:
            return found
        raise errors.NotFoundError(_unknown(metadata, text))
    name, _, alias = text.rpartition("@")
    if is_name(name) and is_name(alias):
        return _aliased(metadata, text, name, alias)
    found = _versioned(metadata, text, type_name) or at_uri(metadata, text)
    if found is None and not is_uri(text):
        found = _foreign(metadata, text, type_name)
    if found is None:
        raise errors.NotFoundError(_unknown(metadata, text))
    return found


def versions_of(metadata: MetadataStore, name: str) -> Iterator[pb.Artifact]:
    """Yield the versions of a name, the newest first."""
    wanted = f"custom_properties.`{words.NAME}`.string_value = {quoted(name)}"
    limit, last = 1, None  # Most want the newest alone.
    while True:
        more = "" if last is None else f" AND id < {last}"
        options = ListOptions(limit=limit, order_by=OrderByField.ID, is_asc=False, filter_query=wanted + more)
        page = metadata.get_artifacts(options)
        yield from page
        if len(page) < limit:
            return
        last, limit = page[-1].id, _PAGE


class Version(NamedTuple):
    """A version of a name, whatever became of it: the type of the name, its number, and how it is named."""

    type: str
    number: int
    label: str


# The newest version of a name that was seen: its type never changes, and few others are made meanwhile.
_SEEN: Final[WeakKeyDictionary[MetadataStore, dict[str, Version]]] = WeakKeyDictionary()


def newest(metadata: MetadataStore, name: str) -> Version | None:
    """Return the newest version of a name."""
    seen = _SEEN.setdefault(metadata, {})
    if (known := seen.get(name)) is not None:
        # One look-up by name tells that it is the newest still, and costs a third of the search for that.
        after = metadata.get_artifact_by_type_and_name(known.type, f"{name}:{known.number + 1}")
        if after is None:
            return known
    found = next(versions_of(metadata, name), None)
    if found is None:
        return None
    return saw(metadata, name, found)


def saw(metadata: MetadataStore, name: str, artifact: pb.Artifact) -> Version:
    """Remember that an artifact is, most likely, the newest version of its name."""
    number = artifact.custom_properties[words.VERSION].int_value
    found = _SEEN.setdefault(metadata, {})[name] = Version(artifact.type, number, artifact.name)
    return found


def type_of(metadata: MetadataStore, name: str) -> str | None:
    """Return the type that a name is one of, None where there is no version of it."""
    known = _SEEN.setdefault(metadata, {}).get(name) or newest(metadata, name)
    return None if known is None else known.type


def _latest(metadata: MetadataStore, name: str) -> pb.Artifact | None:
    """Return the newest version of a name that may be used, None where there is no version at all. Raises NotFoundError."""
    seen = 0
    for artifact in versions_of(metadata, name):
        if usable(artifact):
            return artifact
        seen += 1
    if seen:
        raise errors.NotFoundError(
            f"each of the {seen} versions of {name} is tainted or gone: name one, such as {name}:{seen}, to use it all the same"
        )
    return None


def _aliased(metadata: MetadataStore, text: str, name: str, alias: str) -> pb.Artifact:
    if alias == words.LATEST:
        found = _latest(metadata, name)
        if found is None:
            raise errors.NotFoundError(
                f"there is no version of {name} yet: a run makes one with r.output(uri, type, name={name!r})"
            )
        return found
    known = aliases.alias_of(metadata, text)
    if known is None or known.artifact_id is None:
        others = ", ".join(one.name for one in aliases.aliases_of(metadata, name))
        has = (
            f"{name} has {others}"
            if others
            else f"set it with s.alias({text!r}, {name + ':1'!r}), or evlog alias {text} {name}:1"
        )
        raise errors.NotFoundError(f"there is no {text}: {has}")
    [artifact] = metadata.get_artifacts_by_id([known.artifact_id])
    return artifact


def _versioned(metadata: MetadataStore, text: str, type_name: str | None) -> pb.Artifact | None:
    """Return the version that NAME:VERSION names, of the type that the name is known by."""
    match = _VERSION.fullmatch(text)
    if match is None or not is_name(match[1]):
        return None
    if type_name is None:
        type_name = type_of(metadata, match[1])
    if type_name is not None:
        found = metadata.get_artifact_by_type_and_name(type_name, text)
        if found is not None:
            return found
    return _foreign(metadata, text, None)


def _foreign(metadata: MetadataStore, text: str, type_name: str | None) -> pb.Artifact | None:
    """Return the only artifact with a name of ML Metadata's, whoever put it. Raises InvalidArgumentError where there are several."""
    if type_name is not None and (found := metadata.get_artifact_by_type_and_name(type_name, text)) is not None:
        return found
    several = metadata.get_artifacts(ListOptions(limit=_PAGE, filter_query=f"name = {quoted(text)}"))
    return _only(several, text, "artifact", "") if several else None


def _only(found: Sequence[Any], text: str, word: str, how: str) -> Any:
    if not found:
        raise errors.NotFoundError(f"there is no {word} {text!r}: {how}")
    if len(found) > 1:
        several = ", ".join(f"{one.type} {'run' if word == 'run' else 'art'}:{one.id}" for one in found)
        raise errors.InvalidArgumentError(f"{text!r} is the name of several: {several}: write which")
    return found[0]


# By place -----------------------------------------------------------------------------------------------------------


def is_uri(text: str) -> bool:
    """Tell whether a text has a scheme, as in s3://b/x."""
    return _SCHEME.match(text) is not None


def place_of(text: str) -> Path | None:
    """Return the file or folder here that a path or a file: URI names, None where there is none."""
    try:
        if text.startswith(_LOCAL):
            parts = urlsplit(text)
            path = Path(unquote(parts.path)) if parts.netloc in ("", "localhost") else None
        else:
            path = None if is_uri(text) else Path(text).expanduser()
        return path if path is not None and path.exists() else None
    except (OSError, ValueError, RuntimeError):  # Too long; no URL, or a zero byte; the home of nobody.
        return None


def uri_of(text: str) -> str:
    """Return the URI of a text: as it is, or that of the file or folder which it names here."""
    place = None if is_uri(text) else place_of(text)
    return text if place is None else place.absolute().as_uri()


def at_uri(metadata: MetadataStore, text: str, type_name: str | None = None) -> pb.Artifact | None:
    """Return the newest artifact at a place that may be used, else the newest of them."""
    found = [
        artifact
        for uri in dict.fromkeys((text, uri_of(text)))
        for artifact in metadata.get_artifacts_by_uri(uri)
        if type_name in (None, artifact.type)
    ]
    return max(found, key=lambda one: (usable(one), one.id), default=None)


def _unknown(metadata: MetadataStore, text: str) -> str:
    """Return what to say of a text that names nothing."""
    name = text.partition("@")[0].partition(":")[0]
    if is_name(name) and name != text and (last := newest(metadata, name)) is not None:
        return f"there is no {text}: the newest is {last.label}"
    if is_uri(text) or "/" in text:
        return f"there is no artifact at {text}: give its type to make it known, as in r.input({text!r}, 'Dataset')"
    return f"there is no {text}: write {FORMS}"
