"""What a run reads and makes: artifacts that are there, or will be put with the run. The same name and content is the same artifact."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlmd import errors
from mlmd.kinds import ARTIFACT
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.recorder import digests, references, types, words
from mlmd.recorder.aliases import label_of, own_name
from mlmd.recorder.things import Artifact
from mlmd.recorder.values import name_of, plain, put, stored, text_of
from mlmd.running import Linked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlmd.store import MetadataStore

_RESERVED: Final = "the properties that begin with evlog. are the recorder's own"


@dataclass
class Noted:
    """An artifact that a run read or made. values: the properties to set; roles: of its event."""

    artifact: Artifact
    output: bool
    values: dict[str, Any] = field(default_factory=dict)
    roles: list[str] = field(default_factory=list)

    @property
    def is_new(self) -> bool:
        """Tell whether it is put with the run."""
        return not self.artifact.given.HasField("id")

    def link(self, *, ended_well: bool) -> Linked:
        """Return what the put of the run says of it. ended_well: what the run made is there again, if it was on the way out."""
        message = self.artifact.given
        if self.is_new:
            return Linked(self.output, self.roles, message)
        values = {key: stored(value) for key, value in self.values.items()}
        return Linked(self.output, self.roles, None, message.id, values, self.output and ended_well)


def identity_of(artifact: pb.Artifact) -> str:
    """Return what tells an artifact's content from any other: its digest, else its external id, else its id."""
    values = artifact.custom_properties
    if words.DIGEST in values:
        return values[words.DIGEST].string_value
    return artifact.external_id or f"art:{artifact.id}"


class Finder:
    """Finds or describes the artifacts of one store."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata

    # Inputs ---------------------------------------------------------------------------------------------------------

    def read(self, value: Any, type_name: str | None, name: str | None) -> pb.Artifact:
        """Return what a run reads: a stored artifact, or one without id, to be put with the run. Raises StatusError."""
        if value is None:
            raise errors.NotFoundError(f"None is no input: nothing was found that fits? give {references.FORMS}")
        if isinstance(value, os.PathLike) and not isinstance(value, Artifact):
            value = os.fspath(value)
        if isinstance(value, Artifact) and not value.given.HasField("id"):
            return value.given  # Noted before, and put with the run.
        if not isinstance(value, str):
            found = references.artifact_of(self._metadata, value, type_name)
            _refuse_name(found, name)
            return found
        if name is not None:
            return self.described(value, type_name, name, None)
        try:
            found = references.artifact_of(self._metadata, value, type_name)
        except errors.NotFoundError:
            if type_name is None or not _is_place(value):
                raise
            return self.described(value, type_name, None, None)
        if found.name == value or words.DIGEST not in found.custom_properties or references.place_of(value) is None:
            return found
        # A file, which may have changed. One that is called as an artifact is does not count: the name does.
        return (
            self.described(value, found.type, own_name(found), None) if found.uri == references.uri_of(value) else found
        )

    # Outputs --------------------------------------------------------------------------------------------------------

    def described(self, uri: Any, type_name: str | None, name: str | None, digest: str | None) -> pb.Artifact:
        """Return the artifact with this name and content: the stored one, or a new one without id. Raises StatusError.

        digest: "sha256:HEX" of the content, where it is known and not at hand.
        """
        uri, place = _located(uri)
        last = None if name is None else references.newest(self._metadata, name_of(name))
        type_name = self._type(type_name, name, last)
        found = digests.digest_of(place) if place is not None and digest is None else None
        known = found.digest if found is not None else _checked(digest)
        external_id = _external_id(type_name, name, known, uri)
        stored = self.stored(external_id)
        if stored is not None:
            return stored
        if name is None and known is None and (there := references.at_uri(self._metadata, uri, type_name)) is not None:
            return there
        made = pb.Artifact(type_id=types.id_of(self._metadata, ARTIFACT, type_name), type=type_name, uri=uri)
        made.external_id, made.state = external_id, pb.Artifact.LIVE
        if known is not None:
            made.custom_properties[words.DIGEST].string_value = known
        if found is not None:
            made.custom_properties[words.BYTES].int_value = found.bytes
        if name is not None:
            made.custom_properties[words.NAME].string_value = name
            number(made, 1 + (last.number if last is not None else 0))
        return made

    def stored(self, external_id: str) -> pb.Artifact | None:
        """Return the artifact with an external id."""
        try:
            return self._metadata.get_artifacts_by_external_ids([external_id])[0]
        except errors.NotFoundError:
            return None

    def is_there(self, noted: Noted, artifact_id: int) -> None:
        """Give an artifact the id with which it was put."""
        message = noted.artifact.given
        if noted.is_new and (name := own_name(message)) is not None:
            references.saw(self._metadata, name, message)
        message.id = artifact_id
        if noted.output:
            message.ClearField("create_time_since_epoch")  # Whoever asks what it is now makes it be read.

    def resolve_again(self, made: pb.Artifact) -> None:
        """Look again for an artifact that could not be put: another writer made it, or the version that it was to be."""
        stored = self.stored(made.external_id)
        if stored is not None:
            made.CopyFrom(stored)
        elif (name := own_name(made)) is not None:
            last = references.newest(self._metadata, name)
            number(made, 1 + (last.number if last is not None else 0))

    def _type(self, type_name: str | None, name: str | None, last: references.Version | None) -> str:
        """Return the type of what is noted: as given, else that of its name. Raises InvalidArgumentError."""
        if last is None:
            if type_name is None:
                of = f"{name} is new: " if name else ""
                raise errors.InvalidArgumentError(f"{of}say of which type it is, such as 'Model'")
            return text_of(type_name, "type")
        if type_name not in (None, last.type):
            raise errors.InvalidArgumentError(
                f"{name} is the name of a {last.type} ({last.label}): choose another for a {type_name}"
            )
        return last.type


def number(artifact: pb.Artifact, version: int) -> None:
    """Let an artifact be this version of its name."""
    artifact.custom_properties[words.VERSION].int_value = version
    artifact.name = f"{own_name(artifact)}:{version}"


def put_values(artifact: pb.Artifact, values: Mapping[str, Any]) -> None:
    """Set properties of an artifact to plain values."""
    for key, value in values.items():
        put(artifact.custom_properties, key, value)


def checked_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that a user gives an artifact, plain. Raises InvalidArgumentError."""
    for key in values:
        if text_of(key, "a property").startswith(words.OURS):
            raise errors.InvalidArgumentError(f"{key}: {_RESERVED}")
    return {key: plain(value, key) for key, value in values.items()}


def _refuse_name(found: pb.Artifact, name: str | None) -> None:
    if name is not None and name != own_name(found):
        raise errors.InvalidArgumentError(f"{label_of(found)} is known already, and not as {name}: leave the name out")


def _external_id(type_name: str, name: str | None, digest: str | None, uri: str) -> str:
    """Return what the same content has again. Without a name the place counts too: empty files are not all one thing."""
    if not type_name.isalnum():
        type_name = quote(type_name, safe=" ")  # No / may be in it.
    if name is None:
        return f"{type_name}//{uri}{'#' + digest if digest else ''}"
    return f"{type_name}/{name}/{digest or uri}"


def _checked(digest: str | None) -> str | None:
    if digest is None:
        return None
    digits = digests.digits_of(text_of(digest, "digest"))
    if digits is None:
        raise errors.InvalidArgumentError(
            f"digest: {digest!r} is none: sha256: and 64 hexadecimal digits, in small letters"
        )
    return digests.PREFIX + digits


# Places -------------------------------------------------------------------------------------------------------------


def _located(value: Any) -> tuple[str, Path | None]:
    """Return the URI of what is read or made, and where it is on this machine, None where it is not. Raises InvalidArgumentError."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    text = text_of(value, "uri", longest=8_000)
    place = references.place_of(text)
    if place is not None:
        return references.uri_of(text), place
    if not references.is_uri(text) and not Path(text).is_absolute():
        raise errors.InvalidArgumentError(
            f"{text}: there is no such file or folder here: write it first, or give a URI such as s3://bucket/{text}"
        )
    return text, None


def _is_place(text: str) -> bool:
    """Tell whether a text says where something is: a URI, an absolute path, or what is a file or folder here."""
    return references.is_uri(text) or Path(text).is_absolute() or references.place_of(text) is not None
