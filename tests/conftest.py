"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE, and what tests of several packages share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from tally import Ledger, Tally

from evlog import log, segment
from mlmd import MetadataStore
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile("dev", max_examples=50, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("again", max_examples=15, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("deep", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# What people see on a terminal is what most tests of the command look at; test_cli_output.py looks at what a pipe gets.
os.environ["EVLOG_OUTPUT"] = "table"

# A shell starts what goes on in the background deaf to interrupts, and so would be every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a segment be full after 8 records, with every 4th in its index."""
    monkeypatch.setattr(log, "SEGMENT_RECORDS_MAX", 8)
    monkeypatch.setattr(segment, "INDEX_STEP", 4)
    return 8


@pytest.fixture(scope="session")
def full() -> bool:
    """Tell whether the fault tests run in their full size: EVLOG_FAULTS=full."""
    return os.environ.get("EVLOG_FAULTS") == "full"


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Take counts of faults for docs/faults.md: `tally(row, tried)`, rows as in kit/tally.py."""
    return Tally(request.node.user_properties)


def pytest_configure(config: pytest.Config) -> None:
    """Add up what the fault tests tried, where the run is to be reported: EVLOG_FAULTS_REPORT=FILE."""
    place = os.environ.get("EVLOG_FAULTS_REPORT")
    if place and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Ledger(Path(place), os.environ.get("EVLOG_FAULTS", "of every day")))
