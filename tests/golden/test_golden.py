"""What a release wrote, every later one reads, and this one still writes the same bytes."""

from __future__ import annotations

import importlib.util
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import records

from evlog.files import RealFolder
from evlog.log import Log
from mlmd.opening import BODIES
from replay.rebuild import build
from replay.verify import verify_log

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.glob("v*"))


@pytest.fixture
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_make", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", VERSIONS)
def test_a_golden_log_decodes_to_what_was_put_in(version: str, make: ModuleType) -> None:
    expected = json.loads((HERE / version / "expected.json").read_text(encoding="utf-8"))
    log = Log.open(HERE / version / "log", writable=False)
    # As text: 1, 1.0 and true are equal, and not the same.
    assert json.dumps(make.readable(log)) == json.dumps(expected["records"])
    assert log.tip_at_end().tree.root().hex() == expected["root"]
    log.close()
    found = verify_log(RealFolder(HERE / version / "log")).findings
    assert [one.offset for one in found] == ([2, 2] if version == "v1-repaired" else [])  # Two losses, which are told.
    assert {one.severity for one in found} <= {"note"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_golden_log_can_be_written_on(version: str, tmp_path: Path) -> None:
    shutil.copytree(HERE / version / "log", tmp_path / "log")
    log = Log.open(tmp_path / "log")
    end = log.end
    records.append(log, [records.types()])
    log.close()
    again = Log.open(tmp_path / "log", writable=False)
    assert again.end == end + 1
    again.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_this_release_writes_the_same_bytes_as_the_golden_log(version: str, make: ModuleType, tmp_path: Path) -> None:
    make.write(tmp_path, make.LOGS[version](), **make.settings(version))
    for path in sorted((HERE / version / "log").iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("version", VERSIONS)
def test_a_golden_log_replays_to_the_state_it_always_had(version: str) -> None:
    log = Log.open(HERE / version / "log", writable=False)
    view = build(log, None, BODIES, log.end)
    assert view.digest() == (HERE / version / "digest").read_text(encoding="utf-8").strip()
    view.close()
    log.close()


def test_a_compressed_segment_of_any_release_is_read_as_the_one_it_was_made_from(
    make: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    shutil.copytree(HERE / "v1" / "log", folder)
    (folder / f"{0:020d}.seg").unlink()
    shutil.copy(HERE / "compressed" / f"{0:020d}.seg.zst", folder)
    expected = json.loads((HERE / "v1" / "expected.json").read_text(encoding="utf-8"))
    with closing(Log.open(folder, writable=False)) as log:
        assert json.dumps(make.readable(log)) == json.dumps(expected["records"])
    report = verify_log(RealFolder(folder))
    assert (report.findings, report.root.hex()) == ([], expected["root"])
