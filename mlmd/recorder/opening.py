"""Where a store is: a folder, a server (mlmd.places), memory; or the one that is found, else `metadata`, which is made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlmd import errors, places
from mlmd.places import Server
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.store import MetadataStore

if TYPE_CHECKING:
    from mlmd.moment import At
    from mlmd.places import Place

    Where = str | os.PathLike[str] | MetadataStore | pb.ConnectionConfig | pb.MetadataStoreClientConfig

MEMORY: Final = ":memory:"
_WAYS: Final = 'a folder, "host:8080" for a server, ":memory:", or a config of ML Metadata'


def open_metadata(where: Where | None = None, *, at: At | str | None = None) -> MetadataStore:
    """Open a store as ML Metadata's client. where: as of `mlmd.open`. at: for reading, as it was then.

    Raises InvalidArgumentError for what names no store, OpenError where it cannot be opened.
    """
    if isinstance(where, MetadataStore):
        return where if at is None else where.as_of(at)
    if isinstance(where, pb.ConnectionConfig | pb.MetadataStoreClientConfig):
        return MetadataStore(where, as_of=at)
    return MetadataStore(config_of(where), as_of=at)


def config_of(where: str | os.PathLike[str] | None) -> pb.ConnectionConfig | pb.MetadataStoreClientConfig:
    """Return the config that a place means. Raises InvalidArgumentError."""
    if where is None:
        return _config(_unnamed())
    if not isinstance(where, str | os.PathLike):
        raise errors.InvalidArgumentError(f"{where!r} names no store: give {_WAYS}")
    place = os.fspath(where)
    if not isinstance(place, str) or not place.strip() or "\0" in place:
        raise errors.InvalidArgumentError(f"{place!r} names no store: give {_WAYS}")
    if place == MEMORY:
        return pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig())
    return _config(_parsed(place) if isinstance(where, str) else Path(where))


def _config(found: Place) -> pb.ConnectionConfig | pb.MetadataStoreClientConfig:
    if isinstance(found, Server):
        return found.config()
    try:
        return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(found.expanduser())))
    except UnicodeEncodeError:
        raise errors.InvalidArgumentError(f"{found}: the name of the folder is no text in UTF-8: rename it") from None


def _unnamed() -> Place:
    try:
        return places.found() or Path(places.DEFAULT)
    except ValueError as error:
        raise errors.InvalidArgumentError(f"{places.VARIABLE}: {error}") from None


def _parsed(place: str) -> Place:
    try:
        return places.parse(place)
    except ValueError as error:
        raise errors.InvalidArgumentError(str(error)) from None
