"""The test suite that ml-metadata ships, run unmodified against `mlmd`.

`python tests/reference/suite.py [-k PATTERN]` runs every `*_test.py` of the reference in our interpreter. Each file is loaded
from the reference's site-packages; whatever it imports as `ml_metadata` or below is our module of the same place in `mlmd`,
one module object under both names. `--on-compat` runs the same files on CPython 3.12 where the distribution `ml-metadata` of
compat/ml-metadata is installed: `import ml_metadata` is that of a user there, and nothing is put in its way. `--on-reference`
runs them in the reference's interpreter against the reference itself, which shows that this runner counts right. `--over-grpc`
runs them through a client, ours or with `--on-reference` the published one, on `evlog serve` and a fresh store.

The last line is `N passed, M failed, K skipped`; before it stand the failing names, each with its last line. Exit 1 on a
failure that is not in EXPECTED, 2 when nothing can be run. A name of EXPECTED that passes is reported: strike it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from environment import packages_of_reference, python_of_reference

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "compat"))

from installed import python_of  # noqa: E402 - found by the line above

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

THEIRS: Final = "ml_metadata"
OURS: Final = "mlmd"
COMPAT_VERSION: Final = "3.12"

# What the suite imports besides the reference and may be missing in our environment. Nothing else is served from the
# reference's site-packages: its protobuf is older than ours.
BORROWED: Final = frozenset({"absl"})

TEST_S: Final = 120


# Full test name -> why it fails for now.
EXPECTED: Final[Mapping[str, str]] = {}
# These call a helper of theirs with too few arguments, or a name that is not there; they do so against any server.
_AT_FAULT: Final = "the test itself is at fault"
_CONFIGS: Final = "metadata_store_test.MetadataStoreTest.test_connection_config_with_grpc_"
EXPECTED_OVER_GRPC: Final[Mapping[str, str]] = {
    f"{_CONFIGS}client_timeout_sec_errors": _AT_FAULT,
    f"{_CONFIGS}http2_max_ping_strikes": _AT_FAULT,
    f"{_CONFIGS}max_receive_message_length": _AT_FAULT,
    f"{_CONFIGS}max_receive_message_length_errors": _AT_FAULT,
}


class OurModule(Loader):
    """Loads a module of theirs by handing out our module of the same place."""

    def __init__(self, ours: str) -> None:
        self.ours = ours
        self.own_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return our module; `spec` is under their name."""
        del spec
        module = importlib.import_module(self.ours)
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give our module back its own spec, which the import system has just replaced. It has run already."""
        module.__spec__ = self.own_spec


class TheirNames(MetaPathFinder):
    """Finds `ml_metadata` and all below it in `mlmd`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of our module, or None for a name that is not theirs or that we lack."""
        del path, target
        if fullname.partition(".")[0] != THEIRS:
            return None
        ours = OURS + fullname.removeprefix(THEIRS)
        if importlib.util.find_spec(ours) is None:
            return None
        return ModuleSpec(fullname, OurModule(ours))


class Borrowed(MetaPathFinder):
    """Finds the names in BORROWED in the reference's site-packages. Asked last: what we have ourselves wins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a borrowed top package; what lies below it is found through its own path."""
        del path, target
        return PathFinder.find_spec(fullname, [str(packages_of_reference())]) if fullname in BORROWED else None


@dataclass
class Count:
    """What became of each test, as a pytest plugin that also stands in for the options of the shipped conftest."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # Name -> last line of the failure.
    skipped: list[str] = field(default_factory=list)  # Those marked as not to be run are counted here too.

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """Declare the options that the suite asks for; their defaults say: in this process, no server."""
        parser.addoption("--use_grpc_backend", action="store_true")
        parser.addoption("--grpc_host", default=None)
        parser.addoption("--grpc_port", type=int, default=None)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a file that cannot be imported as one failure."""
        if report.failed:
            self.failed[dotted(report.nodeid)] = last_line(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once: by its call, or by the set-up or tear-down that kept it from passing."""
        name = dotted(report.nodeid)
        if report.failed:
            self.failed.setdefault(name, last_line(report))
        elif report.skipped:
            self.skipped.append(name)
        elif report.when == "teardown" and name not in self.failed and name not in self.skipped:
            self.passed.append(name)


def dotted(nodeid: str) -> str:
    """Return `file.Class.test` for pytest's `file.py::Class::test`."""
    return nodeid.replace(".py", "", 1).replace("::", ".")


def last_line(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return the line in which a failure says what it is: that of the exception, not that of the place."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    lines = [line.removeprefix("E ").strip() for line in text.splitlines() if line.strip()]
    # The text of a failed test begins with its exception, the text of a file that cannot be imported ends with it.
    return (lines[0] if crash else lines[-1]) if lines else "no text"


def run(files: Sequence[Path], pattern: str, port: int | None = None) -> Count:
    """Run the tests of `files` in this process, on stores of their own or, through its port, on that of a server."""
    count = Count()
    with tempfile.TemporaryDirectory() as folder:
        # By a link from outside the package: from inside it pytest would import the package's own __init__ and conftest.
        links = [Path(folder) / file.name for file in files]
        for link, file in zip(links, files, strict=True):
            link.symlink_to(file)
        settings = Path(folder) / "pytest.ini"
        settings.write_text("[pytest]\n")  # So that no settings of ours apply.
        arguments = [
            "-c",
            str(settings),
            "--rootdir",
            folder,
            "-p",
            "no:cacheprovider",
            "-p",
            "no:terminal",
            "-k",
            pattern,
        ]
        arguments.append("--continue-on-collection-errors")
        if port is not None:
            arguments += ["--use_grpc_backend", "--grpc_host=localhost", f"--grpc_port={port}"]
        if importlib.util.find_spec("pytest_timeout"):
            arguments.append(f"--timeout={TEST_S}")
        pytest.main([*arguments, *map(str, links)], plugins=[count])
    return count


def report(count: Count, expected: Mapping[str, str]) -> bool:
    """Print what became of the tests, and return whether every failure was expected."""
    for name, line in count.failed.items():
        reason = f" (expected: {expected[name]})" if name in expected else ""
        print(f"FAILED {name}{reason}\n    {line}")
    for name in count.passed:
        if name in expected:
            print(f"PASSED {name}, which was expected to fail: {expected[name]}. Strike it from EXPECTED")
    print(f"{len(count.passed)} passed, {len(count.failed)} failed, {len(count.skipped)} skipped")
    return all(name in expected for name in count.failed)


def main() -> int:
    """Run the suite as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the suite that ml-metadata ships against mlmd.")
    parser.add_argument("-k", metavar="PATTERN", default="", help="run the tests that pytest's -k selects")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--on-compat", action="store_true", help="against the installed distribution ml-metadata")
    where.add_argument("--on-reference", action="store_true", help="against the reference, in its own interpreter")
    parser.add_argument("--over-grpc", action="store_true", help="through a client, on a server of ours")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()

    if options.over_grpc and options.port is None:
        return over_grpc()
    python = python_of_reference()
    elsewhere = python if options.on_reference else python_of(COMPAT_VERSION) if options.on_compat else None
    for reason in (python, elsewhere):
        if isinstance(reason, str):
            print(reason, file=sys.stderr)
            return 2
    if elsewhere and Path(sys.prefix) != elsewhere.parents[1]:
        return subprocess.run([elsewhere, __file__, *sys.argv[1:]], check=False).returncode

    if not elsewhere:
        sys.path.append(str(ROOT))  # Last: an installed mlmd, or one on PYTHONPATH, is the one to test.
        sys.meta_path.insert(0, TheirNames())
        sys.meta_path.append(Borrowed())
    files = sorted((packages_of_reference() / THEIRS).rglob("*_test.py"))
    count = run(files, options.k, options.port)
    if not (count.passed or count.failed or count.skipped):
        print("no test was run", file=sys.stderr)
        return 2
    return 0 if report(count, EXPECTED_OVER_GRPC if options.over_grpc else EXPECTED) else 1


def over_grpc() -> int:
    """Run this program anew beside a server on a fresh store, and return its exit status."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "kit")]
    from serving import Process  # the reference's interpreter has no server

    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        subprocess.run([sys.executable, "-m", "mlmd.cli", "-q", "init", store], check=True, stdout=subprocess.DEVNULL)
        server = Process(store)
        try:
            command = [sys.executable, __file__, *sys.argv[1:], "--port", str(server.port)]
            return subprocess.run(command, check=False).returncode
        finally:
            server.end()


if __name__ == "__main__":
    sys.exit(main())
