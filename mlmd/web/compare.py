"""Runs side by side: keys down, runs across; what is equal folded; which inputs differ, and where the lineages part."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from mlmd import moment
from mlmd.errors import InvalidArgumentError
from mlmd.names import name_of
from mlmd.web import curves, parallel
from mlmd.web.artifact import linked_picture
from mlmd.web.page import Page
from mlmd.web.run import found
from mlmd.web.runs import short_facts
from mlmd.web.view import Param, object_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmd.recorder.compare import Comparison, Difference
    from mlmd.recorder.things import Run
    from mlmd.web.view import View

RUNS_MAX: Final = 100
_TWO: Final = 2
_SHOWN_MAX: Final = 20  # Of what a lineage has alone.
_AGAIN: Final = "at2"

PARAMS: Final = (
    Param("run", "a run: its id, run:5, or its name; two or more", (), most=RUNS_MAX),
    Param(_AGAIN, "compare with the same run as of this moment too", moment=True),
)


def compare_page(view: View) -> Page:
    """Return the page; before two runs are named, the form that asks for them."""
    named = [one for text in view["run"] for one in text.replace(",", " ").split()]
    if len(named) > RUNS_MAX:
        raise InvalidArgumentError(f"run: {len(named):,} of them; {RUNS_MAX:,} at most")
    runs = [found(view, text) for text in dict.fromkeys(named)]
    if view[_AGAIN] and runs:
        runs = [*_then(view, named), *runs]
    asked = {"asked": named, _AGAIN: view[_AGAIN]}
    if len(runs) < _TWO:
        return Page("compare.html", "Compare", asked | {"runs": [short_facts(run) for run in runs], "compared": False})
    compared = view.store.compare(*runs)
    graph = compared.lineage()
    pairs = list(zip(compared.labels, compared.runs, strict=True))
    facts = asked | _facts(compared) | {"curves": view.where_sound(lambda: curves.of_runs(pairs), [])}
    return Page(
        "compare.html",
        f"Compare {len(runs):,} runs" if len(runs) > _TWO else f"Compare {' and '.join(compared.labels)}",
        facts,
        table=compared.table,
        picture=(lambda: linked_picture(view, graph)) if graph.edges else None,
        command="" if view[_AGAIN] else view.command("compare", *(run.label for run in runs)),
        python=_python(view, runs),
        islands=("charts",) if facts["curves"] else (),
    )


def _then(view: View, named: Sequence[str]) -> list[Run]:
    """Return the runs as they were at the other moment. Raises InvalidArgumentError, OutOfRangeError, NotFoundError."""
    try:
        at = moment.parse(view[_AGAIN]).at
    except ValueError as error:
        raise InvalidArgumentError(f"{_AGAIN}: {error}") from None
    store = view.store.at(at)
    return [store.get_run(found(view, text).id) for text in dict.fromkeys(named)]


def _facts(compared: Comparison) -> dict[str, Any]:
    common, alone = compared.parting.common, compared.parting.alone
    return {
        "compared": True,
        "runs": [
            short_facts(run) | {"label": label} for label, run in zip(compared.labels, compared.runs, strict=True)
        ],
        "differences": [_row(one) for one in compared.differences if one.section != "input"],
        "inputs": [_row(one) for one in compared.differences if one.section == "input"],
        "alike": [_row(one) for one in compared.alike],
        "common": _listed(compared, common),
        "alone": [
            {"run": label, "total": len(own), "things": _listed(compared, own)}
            for label, own in zip(compared.labels, alone, strict=True)
        ],
        "parallel": parallel.axes_of(compared) if len(compared.runs) > _TWO else None,
    }


def _row(one: Difference) -> dict[str, Any]:
    return {
        "section": one.section,
        "key": one.key,
        "values": list(one.values),
        "odd": _odd(one.values),
        "delta": one.delta,
    }


def _odd(values: Sequence[Any]) -> list[bool]:
    """Return which values are not the one that most runs have, where there is such a one."""
    texts = [repr(value) for value in values]
    [(usual, times)] = Counter(texts).most_common(1)
    return [2 * times > len(texts) and text != usual for text in texts]


def _listed(compared: Comparison, things: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [
        {"name": compared.names.get(thing, name_of(thing)), "path": object_path(*thing)}
        for thing in things[:_SHOWN_MAX]
    ]


def _python(view: View, runs: Sequence[Run]) -> str:
    if view[_AGAIN]:
        labels = [run.label for run in runs[len(runs) // 2 :]]
        both = [f"{store}.get_run({label!r})" for store in ("then", "now") for label in labels]
        now = f"s.at({view.at!r})" if view.at else "s"
        return f"import mlmd\ns = mlmd.open()\nthen, now = s.at({view[_AGAIN]!r}), {now}\ns.compare({', '.join(both)})"
    return view.python(f".compare({', '.join(repr(run.label) for run in runs)})")
