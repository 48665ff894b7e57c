"""What the reference wrote, imported: every read answers as the reference does, whatever the schema version."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mlmd_files import changed, imported, migrate, same_store, sqlite_config, workload, write
from questions import asks, bridges, webs
from strategies import FIRST_CALLS, SAFE, Call, puts

from mlmd.exchange import decode, kept

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from client import Reference

pytestmark = pytest.mark.slow

EXAMPLES = 300 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 8
# Not Phase.shrink: an example takes seconds.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


DANGLING = """
delete from Event where artifact_id not in (select id from Artifact) or execution_id not in (select id from Execution);
delete from EventPath where event_id not in (select id from Event);
delete from Attribution where artifact_id not in (select id from Artifact) or context_id not in (select id from Context);
delete from Association where execution_id not in (select id from Execution) or context_id not in (select id from Context);
"""


@pytest.mark.parametrize("version", range(10, 3, -1))
def test_a_database_of_each_version_answers_as_the_reference_does_after_its_upgrade(
    reference: Reference, tmp_path: Path, version: int
) -> None:
    path, copy = tmp_path / "metadata.db", tmp_path / "upgraded.db"
    write(reference, sqlite_config(path), workload(version))
    if version < 10:
        migrate(reference, sqlite_config(path), version)
    shutil.copy(path, copy)
    migrate(reference, sqlite_config(copy), None)
    report = imported(str(path), tmp_path / "store")
    assert (report.schema_version, report.kept) == (version, {})
    assert same_store(reference, sqlite_config(copy), tmp_path / "store") > 250
    again = imported(str(path), tmp_path / "store")
    assert (again.records, again.digest) == (0, report.digest)


@pytest.mark.deep
@settings(
    deadline=None,
    max_examples=EXAMPLES,
    phases=PHASES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    calls=st.lists(st.one_of(puts(SAFE), webs(), bridges()), min_size=5, max_size=30),
    stop=st.integers(0, 30),
    more=st.lists(asks(), max_size=10),
)
def test_whatever_was_put_before_and_between_two_imports_they_answer_as_the_reference_does(
    reference: Reference, tmp_path_factory: pytest.TempPathFactory, calls: list[Any], stop: int, more: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    config = sqlite_config(folder / "metadata.db")
    calls = [one for one in calls if isinstance(one, Call)]
    write(reference, config, [*FIRST_CALLS, *calls[:stop]])
    imported(folder / "metadata.db", folder / "store")
    write(reference, config, calls[stop:])
    report = imported(folder / "metadata.db", folder / "store")
    # The reference takes events and links of nodes that are not there; those are kept aside, so it is asked about the rest.
    assert {why for _, why in report.kept} <= {decode.DANGLING, kept.NO_OWNER}
    changed(folder / "metadata.db", DANGLING)
    same_store(reference, config, folder / "store", more)
    shutil.rmtree(folder)
