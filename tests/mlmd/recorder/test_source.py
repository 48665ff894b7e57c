"""The source of what was loaded: a function that is defined anew has a new digest, a file that is edited under the process changes nothing."""

from __future__ import annotations

import gc
import importlib
import inspect
import linecache
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlmd.recorder import source
from mlmd.recorder.code import code_of
from mlmd.recorder.source import source_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = "RATE = 3\n\ndef f(x):\n    return x + 1\n\nclass C:\n    rate = 1\n\n    def go(self, x):\n        return x * self.rate\n"


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a function that writes the module `user_source`, and imports it, or imports it again."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "user_source", raising=False)

    def load(text: str) -> Any:
        write(tmp_path / "user_source.py", text)
        importlib.invalidate_caches()
        there = sys.modules.get("user_source")
        return importlib.import_module("user_source") if there is None else importlib.reload(there)

    return load


def write(place: Path, text: str) -> None:
    """Write a text, as of another time than any before."""
    time_ns = place.stat().st_mtime_ns + 2_000_000_000 if place.exists() else 10**18
    place.write_text(text)
    os.utime(place, ns=(time_ns, time_ns))


def cell(text: str, number: int, space: dict[str, Any]) -> None:
    """Run a text as a notebook does: its lines are known by the name of the cell."""
    name = f"<ipython-input-{number}-{hash(text):x}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), space)


def test_a_module_that_is_reloaded_has_the_digest_of_its_new_source(loaded: Callable[[str], Any]) -> None:
    module = loaded(TEXT)
    old, before = module.f, [code_of(module.f), code_of(module.C)]
    module = loaded(TEXT.replace("x + 1", "x + 2").replace("x * self", "x - self"))
    assert code_of(module.f) != before[0]
    assert code_of(module.C) != before[1]
    assert code_of(old) == before[0], "who holds the old one runs the old one"
    module = loaded(TEXT)
    assert [code_of(module.f), code_of(module.C)] == before


def test_a_cell_that_is_run_again_has_the_digest_of_its_new_source() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    digests = []
    for number, text in enumerate(("x + 1", "x + 2", "x + 1", "x + 1  # why")):
        cell(f"def f(x):\n    return {text}\n", number, space)
        digests.append(code_of(space["f"]))
    first, second, third, fourth = digests
    assert first == third == fourth != second


def test_a_function_of_the_same_name_is_another_one() -> None:
    def f(x: int) -> int:
        return x + 1

    before = code_of(f)

    def f(x: int) -> int:  # type: ignore[no-redef] # That is the point.
        return x + 2

    assert code_of(f) != before


def test_a_function_that_is_given_other_code_has_another_digest(loaded: Callable[[str], Any]) -> None:
    module = loaded(TEXT + "\ndef g(x):\n    return x + 2\n")
    before = code_of(module.f)
    module.f.__code__ = module.g.__code__
    assert code_of(module.f) != before


def test_a_file_that_is_edited_after_its_import_does_not_change_the_digest_of_what_was_loaded(
    loaded: Callable[[str], Any], tmp_path: Path
) -> None:
    other = TEXT.replace("x + 1", "x + 2").replace("rate = 1", "rate = 2")
    digest_of_other = [code_of(loaded(other).f), code_of(loaded(other).C)]
    module = loaded(TEXT)
    write(tmp_path / "user_source.py", other)  # Before anyone asked.
    of_f, of_class = code_of(module.f), code_of(module.C)
    assert [of_f, of_class] != digest_of_other
    assert of_f != digest_of_other[0]
    assert of_class != digest_of_other[1]
    write(tmp_path / "user_source.py", other.replace("x + 2", "x + 3").replace("rate = 2", "rate = 4"))
    assert [code_of(module.f), code_of(module.C)] == [of_f, of_class], "nothing was loaded since"


def test_a_digest_that_was_taken_before_the_edit_stays(loaded: Callable[[str], Any], tmp_path: Path) -> None:
    module = loaded(TEXT)
    before = code_of(module.f)
    write(tmp_path / "user_source.py", TEXT.replace("x + 1", "x + 2"))
    assert code_of(module.f) == before


def test_what_moved_in_its_file_and_is_the_same_has_the_same_digest(
    loaded: Callable[[str], Any], tmp_path: Path
) -> None:
    before = [code_of(one) for one in (loaded(TEXT).f, loaded(TEXT).C)]
    module = loaded(TEXT)
    write(tmp_path / "user_source.py", "def other():\n    return 7\n\n# f was here\n\n" + TEXT)
    assert [code_of(module.f), code_of(module.C)] == before


def test_a_file_that_is_gone_or_broken_leaves_what_was_compiled(loaded: Callable[[str], Any], tmp_path: Path) -> None:
    digests = set()
    for text in (None, "def f(:", "\0", "x = 1\n"):
        module = loaded(TEXT)
        if text is None:
            (tmp_path / "user_source.py").unlink()
        else:
            write(tmp_path / "user_source.py", text)
        digests.add((code_of(module.f), code_of(module.C)))
    assert len(digests) == 1


def test_a_value_that_a_class_was_given_since_counts(loaded: Callable[[str], Any]) -> None:
    module = loaded(TEXT)
    before = code_of(module.C)
    module.C.rate = 5
    five = code_of(module.C)
    module.C.rate = 6
    assert len({before, five, code_of(module.C)}) == 3


def test_what_was_compiled_has_the_same_digest_in_every_process() -> None:
    command = (
        "from mlmd.recorder.code import code_of\n"
        "space = {'__name__': '__main__'}\n"
        'exec(\'def f(x):\\n    return x in {"a", "b", "c", "d", "e"}\\n\', space)\nprint(code_of(space[\'f\']))'
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", command],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1


def test_the_source_of_a_function_is_read_once(loaded: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded(TEXT)
    read = []
    getsource = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda one: read.append(one) or getsource(one))
    assert code_of(module.f) == code_of(module.f)
    assert len(read) == 1
    assert source_of(module.f) == source_of(module.f)
    assert len(read) == 1


def test_what_was_read_of_a_function_is_not_kept_longer_than_the_function() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    cell("def f(x):\n    return x\n", 1, space)
    code_of(space["f"])
    gc.collect()
    before = len(source._READ)
    del space["f"]
    gc.collect()
    assert len(source._READ) == before - 1


def test_a_class_in_a_class_of_its_name_is_told_from_it(loaded: Callable[[str], Any]) -> None:
    text = "class C:\n    a = 1\n\n    class C:\n        b = {0}\n"
    module = loaded(text.format(1))
    outer, inner = code_of(module.C), code_of(module.C.C)
    assert code_of(loaded(text.format(2)).C.C) != inner != outer
