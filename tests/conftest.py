"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE, and the stores that tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from mlmd import MetadataStore
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

settings.register_profile("dev", max_examples=50, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("deep", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def config_of(place: Path | None) -> pb.ConnectionConfig:
    """Return the config of a store in a folder, or in memory."""
    if place is None:
        return pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig())
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(place)))


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MetadataStore]:
    """An empty store, in memory and in a folder; checked when the test is over."""
    store = MetadataStore(config_of(tmp_path / "store" if request.param == "folder" else None))
    yield store
    store.close()
