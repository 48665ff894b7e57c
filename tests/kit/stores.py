"""A store in a folder, as a program and as a person at the shell use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from mlmd import MetadataStore
from mlmd.cli import cli
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str | Path) -> Result:
    """Run `evlog` with these words."""
    return CliRunner().invoke(cli, [*map(str, words)], prog_name="evlog")


def opened(place: Path) -> MetadataStore:
    """Open the store in a folder."""
    return MetadataStore(pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place))))


def put(place: Path, *names: str) -> None:
    """Put types of contexts with these names, a record each, and close the store."""
    store = opened(place)
    for name in names:
        store.put_context_type(pb.ContextType(name=name))
    store.close()
