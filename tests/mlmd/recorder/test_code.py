"""The digest of code: another one where what it does may be another, the same where only its looks are. And the commit at hand."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlmd import errors
from mlmd.recorder import code
from mlmd.recorder.code import code_of, commit_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = itertools.count()


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], Any]:
    """Return the digest of `f` in a module with this text."""

    def make(text: str) -> str | None:
        place = tmp_path / f"module_{next(COUNT)}.py"
        place.write_text(text)
        spec = importlib.util.spec_from_file_location("user_code", place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return code_of(module.f)

    return make


BASE = "def g(x):\n    return x + 1\n\nRATE = 3\n\ndef f(x, y=1):\n    return g(x) * RATE + y\n"


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("x + 1", "x + 2"),  # what it calls
        BASE.replace("RATE = 3", "RATE = 4"),  # a constant that it names
        BASE.replace("y=1", "y=2"),
        BASE.replace("+ y", "- y"),
        BASE.replace("y=1", "y=RATE"),
        BASE.replace("def g(x):", "def h(x):\n    return 1\n\ndef g(x):").replace("x + 1", "x + h(1)"),
        "import functools\n"
        + BASE.replace(
            "def f", "def w(h):\n    return functools.wraps(h)(lambda *a: h(*a))\n\n@w\ndef f"
        ),  # what decorates it
    ],
)
def test_code_that_may_do_something_else_has_another_digest(compiled: Callable[[str], Any], text: str) -> None:
    assert compiled(text) != compiled(BASE)


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("return g", "# why\n    return g"),
        BASE.replace("def f(x, y=1):", 'def f(x, y=1):\n    """Say something."""\n'),
        BASE + "\ndef unrelated():\n    return 7\n\nOTHER = 1\n",
        BASE.replace("* RATE", "*RATE"),
    ],
)
def test_code_that_only_looks_different_has_the_same(compiled: Callable[[str], Any], text: str) -> None:
    assert compiled(text) == compiled(BASE)


def test_a_default_counts_as_it_was_when_the_function_was_made(compiled: Callable[[str], Any]) -> None:
    text = "RATE = 3\n\ndef f(x, y=RATE, *, z=RATE):\n    return x + y + z\n"
    assert compiled(text) != compiled(text.replace("3", "4"))


def test_what_a_function_closes_over_counts() -> None:
    def make(rate: float) -> Callable[[float], float]:
        return lambda x: x * rate

    assert code_of(make(1)) != code_of(make(2))
    assert code_of(make(1)) == code_of(make(1))


def test_classes_modules_files_and_digests_are_code_too(tmp_path: Path) -> None:
    class A:
        def go(self) -> int:
            return 1

    class B(A):
        def go(self) -> int:
            return 2

    assert code_of(A) != code_of(B)
    place = tmp_path / "x.py"
    place.write_text("x")
    assert code_of(place) == code_of(str(place)) == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert code_of("sha256:" + "a" * 64) == code_of("a" * 64) == "a" * 64
    assert code_of(code) == code_of(code.__file__)
    assert code_of(None) is None


def test_a_function_without_source_has_the_digest_of_what_was_compiled() -> None:
    spaces: list[dict[str, Any]] = [{}, {}, {}]
    for space, text in zip(spaces, ("return x", "return x", "return x + 1"), strict=True):
        exec(f"def f(x):\n    {text}", space)
    first, second, third = (code_of(space["f"]) for space in spaces)
    assert first == second != third


@pytest.mark.parametrize("text", ["def f(x):\n    return {0}\n", "class f:\n    def m(self, x):\n        return {0}\n"])
def test_code_that_came_as_a_text_is_not_taken_for_lines_of_the_command(text: str) -> None:
    """From 3.13 on, Python knows the lines of `python -c` by the name that all code from texts has."""
    command = (
        "import sys\nfrom mlmd.recorder.code import code_of\nfor value in sys.argv[2:]:\n    space = {'__name__': '__main__'}\n"
        "    exec(sys.argv[1].format(value), space)\n    print(code_of(space['f']))\n"
    )
    words = [sys.executable, "-c", command, text, "x", "x", "x + 1"]
    first, second, third = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert first == second != third


def test_what_is_no_code_is_refused() -> None:
    for wrong in (7, object(), len, functools.partial(len), "not/there.py", "sha256:xyz"):
        with pytest.raises(errors.InvalidArgumentError, match="^code: "):
            code_of(wrong)


def git(place: Path, *words: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *settings, *words], cwd=place, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_is_that_which_git_has_checked_out(tmp_path: Path) -> None:
    assert commit_of(tmp_path / "nowhere") is None or commit_of(tmp_path) is not None
    place = tmp_path / "work"
    (place / "deep" / "er").mkdir(parents=True)
    git(place, "init", "-q")
    assert commit_of(place) is None
    git(place, "commit", "-q", "--allow-empty", "-m", "one")
    head = git(place, "rev-parse", "HEAD")
    assert commit_of(place / "deep" / "er") == head
    git(place, "pack-refs", "--all")
    assert commit_of(place) == head
    git(place, "worktree", "add", "-q", "-b", "other", str(tmp_path / "beside"))
    assert commit_of(tmp_path / "beside") == head
    git(place, "checkout", "-q", "--detach")
    assert commit_of(place) == head
    (place / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert commit_of(place) is None


def test_a_run_in_a_folder_that_is_gone_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert code.commit_at_hand() is None


def test_the_command_line_is_cut_and_is_always_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["a", "\udcff" + "x" * 5000])
    line = code.command_line()
    assert len(line) == 1000
    line.encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{1: 2}", "{1: 3}"),
        ("{1: 2}", "{'1': 2}"),
        ("{(1, 2): 3}", "{(1, 2): 4}"),
        ("{'a', 'b'}", "{'a', 'c'}"),
        ("float('inf')", "float('nan')"),
        ("b'a'", "'YQ=='"),
        ("1 + 2j", "1 + 3j"),
    ],
)
def test_constants_of_every_kind_count(compiled: Callable[[str], Any], before: str, after: str) -> None:
    text = "RATE = {}\n\ndef f(x):\n    return RATE\n"
    assert compiled(text.format(before)) != compiled(text.format(after))
    assert compiled(text.format(before)) == compiled(text.format(before))


def test_a_constant_that_holds_itself_is_none(compiled: Callable[[str], Any]) -> None:
    assert compiled("LOOP = []\nLOOP.append(LOOP)\n\ndef f(x):\n    return LOOP\n")


def test_what_decorates_a_function_counts_but_not_what_a_step_is_told(compiled: Callable[[str], Any]) -> None:
    text = "class S:\n    def step(self, **_):\n        return lambda f: f\n\ns, cut = S(), S().step\n\n{}\ndef f(x):\n    return x\n"
    assert compiled(text.format("@cut(most=1)")) != compiled(text.format("@cut(most=2)"))
    assert compiled(text.format("@s.step(cache=True)")) == compiled(text.format("@s.step(cache=False)"))


def test_what_is_named_through_a_module_of_the_package_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    sub = tmp_path / "pack_of_user" / "sub"
    sub.mkdir(parents=True)
    (sub.parent / "__init__.py").touch()
    (sub / "__init__.py").touch()
    (sub / "cleaning.py").write_text("RATE = 1\n\ndef clean(x):\n    return x * 1\n\ndef other(x):\n    return x * 2\n")
    (sub.parent / "train.py").write_text(
        "import pack_of_user.sub.cleaning\nfrom pack_of_user.sub import cleaning as c\n\n"
        "def f(x):\n    return c.clean(x)\n\ndef g(x):\n    return pack_of_user.sub.cleaning.RATE\n"
    )
    train = importlib.import_module("pack_of_user.train")
    of_f, of_g = code_of(train.f), code_of(train.g)
    monkeypatch.setattr(train.c, "clean", train.c.other)
    assert code_of(train.f) != of_f
    assert code_of(train.g) == of_g
    monkeypatch.setattr(train.c, "RATE", 2)
    assert code_of(train.g) != of_g


def test_a_module_beside_a_script_counts_and_what_is_installed_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "lib" / "site-packages"
    installed.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(installed)
    (tmp_path / "helpers_of_user.py").write_text("def clean(x):\n    return x * 1\n\ndef other(x):\n    return x * 2\n")
    (installed / "library_of_user.py").write_text("def load(x):\n    return x * 1\n\ndef other(x):\n    return x * 2\n")
    (tmp_path / "script_of_user.py").write_text(
        "import json\nimport helpers_of_user as h\nimport library_of_user as lib\nfrom helpers_of_user import clean\n\n"
        "def f(x):\n    return clean(x)\n\ndef g(x):\n    return h.clean(x)\n\ndef k(x):\n    return json.dumps(lib.load(x))\n"
    )
    script = importlib.import_module("script_of_user")
    before = [code_of(one) for one in (script.f, script.g, script.k)]
    monkeypatch.setattr(script, "clean", script.h.other)
    monkeypatch.setattr(script.h, "clean", script.h.other)
    monkeypatch.setattr(script.lib, "load", script.lib.other)
    after = [code_of(one) for one in (script.f, script.g, script.k)]
    assert [old != new for old, new in zip(before, after, strict=True)] == [True, True, False]


def test_a_module_without_a_file_and_a_text_that_is_no_path_are_refused() -> None:
    for wrong in (sys, "x" * 5000, "a\0b"):
        with pytest.raises(errors.InvalidArgumentError, match="^code: "):
            code_of(wrong)
