"""What is exported, the reference opens, and answers as we do."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mlmd_files import imported, same_reads, sqlite_config, workload
from questions import asks, bridges, webs
from raw import RawStore
from strategies import FIRST_CALLS, SAFE, Call, puts

from mlmd.cli import cli
from mlmd.engine import Engine
from mlmd.exchange.exporting import export_mlmd
from mlmd.opening import open_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from client import Reference

pytestmark = pytest.mark.slow

EXAMPLES = 300 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 8
# Not Phase.shrink: an example takes seconds.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def filled(place: Path, calls: Sequence[Any]) -> RawStore:
    """Return a store with what was put; a refused put is no matter."""
    store = RawStore(Engine(open_folder(place, create=True)))
    for call in calls:
        if isinstance(call, Call):
            store.call(call.method, call.request.SerializeToString())
    return store


def test_an_export_answers_as_the_store_does_and_imported_again_it_is_the_same(
    reference: Reference, tmp_path: Path
) -> None:
    store = filled(tmp_path / "store", workload())
    report = store.engine.view.ask(lambda lookup: export_mlmd(lookup, tmp_path / "back.db"))
    assert not report.notes
    assert same_reads(reference, sqlite_config(tmp_path / "back.db"), store) > 250
    store.close()
    assert imported(tmp_path / "back.db", tmp_path / "again").kept == {}
    again = RawStore(Engine(open_folder(tmp_path / "again")))
    assert same_reads(reference, sqlite_config(tmp_path / "back.db"), again) > 250
    again.close()


@pytest.mark.deep
@settings(
    deadline=None,
    max_examples=EXAMPLES,
    phases=PHASES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    calls=st.lists(st.one_of(puts(SAFE), webs(), bridges()), min_size=5, max_size=30),
    more=st.lists(asks(), max_size=10),
)
def test_whatever_was_put_the_export_answers_as_the_store_does(
    reference: Reference, tmp_path_factory: pytest.TempPathFactory, calls: list[Any], more: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    store = filled(folder / "store", [*FIRST_CALLS, *calls])
    report = store.engine.view.ask(lambda lookup: export_mlmd(lookup, folder / "back.db"))
    assert not report.notes
    same_reads(reference, sqlite_config(folder / "back.db"), store, more)
    store.close()
    shutil.rmtree(folder)


def test_an_export_as_of_a_moment_holds_what_was_there_then(reference: Reference, tmp_path: Path) -> None:
    store = filled(tmp_path / "store", workload())
    last = store.engine.log.end - 1
    at = f"#{last}"
    told = CliRunner().invoke(
        cli, ["-s", str(tmp_path / "store"), "--at", at, "export", "mlmd", str(tmp_path / "then.db"), "--json"]
    )
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["end"] == last

    then = RawStore(store.engine, at=last)
    assert same_reads(reference, sqlite_config(tmp_path / "then.db"), then) > 250
    store.close()
