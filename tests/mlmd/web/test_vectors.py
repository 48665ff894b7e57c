"""The vectors that the scripts are tested with are those that our Python makes."""

from __future__ import annotations

from vectors import FILE, vectors


def test_the_vectors_of_the_scripts_are_what_our_python_makes() -> None:
    assert FILE.read_text(encoding="ascii") == vectors(), f"python tests/kit/vectors.py writes {FILE} anew"
