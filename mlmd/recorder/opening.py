"""Where a store is: a folder, a server, memory; or what EVLOG_STORE says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.store import MetadataStore

if TYPE_CHECKING:
    from mlmd.moment import At

    Where = str | os.PathLike[str] | MetadataStore | pb.ConnectionConfig | pb.MetadataStoreClientConfig

VARIABLE: Final = "EVLOG_STORE"
DEFAULT: Final = "metadata"
MEMORY: Final = ":memory:"
_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*)):(\d{1,5})")
_PORT_MAX: Final = 65_535
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
        where = os.environ.get(VARIABLE) or DEFAULT
    if not isinstance(where, str | os.PathLike):
        raise errors.InvalidArgumentError(f"{where!r} names no store: give {_WAYS}")
    place = os.fspath(where)
    if not isinstance(place, str) or not place.strip() or "\0" in place:
        raise errors.InvalidArgumentError(f"{place!r} names no store: give {_WAYS}")
    if place == MEMORY:
        return pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig())
    if isinstance(where, str) and (server := server_of(place)) is not None:
        return server
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(Path(place).expanduser())))


def server_of(place: str) -> pb.MetadataStoreClientConfig | None:
    """Return the config of the server that HOST:PORT names, None for another text. Raises InvalidArgumentError for an odd port."""
    found = _SERVER.fullmatch(place)
    if found is None or Path(place).exists():
        return None
    port = int(found[2])
    if not 0 < port <= _PORT_MAX:
        raise errors.InvalidArgumentError(
            f"{place}: there is no port {port}: HOST:PORT has one from 1 to {_PORT_MAX:,}"
        )
    return pb.MetadataStoreClientConfig(host=found[1], port=port)
