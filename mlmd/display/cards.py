"""A run or an artifact on a card: what a notebook shows of it, readable without script, style or server; and the same as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Final

from mlmd.display.cells import NONE, cut, in_words, printable
from mlmd.display.nodes import LIVE, TAINTED, UNREMARKABLE
from mlmd.display.walk import lineage, moment_of
from mlmd.names import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlmd.display.graph import Graph
    from mlmd.recorder.things import Artifact, Run
    from mlmd.store import MetadataStore
    from replay.things import Thing

_NODES_MAX: Final = 30
_TEXT_MAX: Final = 100
_MINUTE_S: Final = 60
_LONG_MAX: Final = 20_000  # Of a traceback, its end.
_CELL: Final = 'style="text-align:left;vertical-align:top;padding:.1em 1em .1em 0;font-weight:normal"'


@dataclass(frozen=True)
class Card:
    """A thing with what is known of it. Everything is text to whoever shows it.

    badges: its state, and why it is not to be used. facts: one value each. groups: values by name, such as parameters. ends: what it
    read and made, a line each. long: what takes many lines, such as a traceback. graph: its nearest lineage. note: the last line.
    """

    title: str
    badges: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ends: Mapping[str, Sequence[str]] = field(default_factory=dict)
    long: Mapping[str, str] = field(default_factory=dict)
    graph: Graph | None = None
    note: str = ""

    def __str__(self) -> str:
        """Return the card as lines of text."""
        lines: list[tuple[str, str]] = [(name, cut(in_words(value), _TEXT_MAX)) for name, value in self._facts()]
        for name, values in self._groups():
            lines.append(
                (
                    name,
                    "  ".join(f"{printable(key)}={cut(in_words(value), _TEXT_MAX)}" for key, value in values.items()),
                )
            )
        for name, texts in self.ends.items():
            lines += [("" if at else name, printable(text)) for at, text in enumerate(texts)]
        lines += [(name, printable(text.rstrip().rpartition("\n")[2])) for name, text in self.long.items()]
        lines = [(printable(name), text) for name, text in lines]
        width = max([len(name) for name, _ in lines], default=0)
        head = "  ".join(map(printable, [self.title, *self.badges]))
        return "\n".join(
            [head, *(f"  {name:<{width}}  {text}" for name, text in lines), *filter(None, [printable(self.note)])]
        )

    def _repr_html_(self) -> str:
        """Return the card as HTML: no script, no request, no style but its own."""
        badges = "".join(
            f' <span style="border:1px solid;border-radius:.6em;padding:0 .5em">{_text(badge)}</span>'
            for badge in self.badges
        )
        parts = [
            f"<div><strong>{_text(self.title)}</strong>{badges}</div>",
            _table((name, _text(in_words(value))) for name, value in self._facts()),
        ]
        columns = "".join(
            f"<div><div><em>{_text(name)}</em></div>{_table((key, _text(in_words(value))) for key, value in values.items())}</div>"
            for name, values in self._groups()
        )
        parts.append(f'<div style="display:flex;flex-wrap:wrap;gap:0 2.5em">{columns}</div>' if columns else "")
        parts.append(_table((name, "<br>".join(map(_text, texts))) for name, texts in self.ends.items() if texts))
        if self.graph is not None and self.graph.edges:
            parts.append(self.graph._repr_html_())
        parts += [
            f'<details><summary>{_text(name)}</summary><pre style="white-space:pre-wrap">{_lines(text)}</pre></details>'
            for name, text in self.long.items()
        ]
        parts.append(f"<div><small>{_text(self.note)}</small></div>" if self.note else "")
        return f'<section aria-label="{_text(self.title)}" style="line-height:1.5">{"".join(parts)}</section>'

    def _facts(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.facts.items() if value not in (None, "")]

    def _groups(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(name, values) for name, values in self.groups.items() if values]


def run_card(run: Run) -> Card:
    """Return the card of a run."""
    reused = run.reuses
    tainted = run.tainted
    return Card(
        f"{run.type} {run.label}",
        _badges(run.state, tainted),
        {
            "name": run.name,
            "started": run.created,
            "took": None if run.duration_s is None else _took(run.duration_s),
            "tainted": tainted,
            "reuses": None if reused is None else f"{reused.type} {reused.label}",
            "code": run.code,
            "commit": run.commit,
            "command": run.command,
        },
        {"parameters": run.params, "metrics": run.metrics, "tags": run.tags},
        {"inputs": [_end(one) for one in run.inputs], "outputs": [_end(one) for one in run.outputs]},
        {"error": run.error} if run.error else {},
        _near(run.metadata, run.thing),
        moment_of(run.metadata),
    )


def artifact_card(artifact: Artifact) -> Card:
    """Return the card of an artifact."""
    tainted, aliases = artifact.tainted, artifact.aliases
    return Card(
        f"{artifact.type} {artifact.label}",
        _badges(artifact.state, tainted, live=bool(aliases)),
        {
            "id": f"art:{artifact.id}",
            "uri": artifact.uri,
            "aliases": ", ".join(aliases),
            "made": artifact.created,
            "tainted": tainted,
            "digest": artifact.digest,
            "bytes": artifact.bytes,
        },
        {"properties": artifact.properties},
        {
            "made by": [f"{run.type} {run.label}" for run in artifact.producers],
            "read by": _first([f"{run.type} {run.label}" for run in artifact.users]),
        },
        graph=_near(artifact.metadata, artifact.thing),
        note=moment_of(artifact.metadata),
    )


def _badges(state: str, tainted: str | None, *, live: bool = False) -> list[str]:
    said = [TAINTED] if tainted is not None else []
    said += [LIVE] if live else []
    return [*said, *([state] if state not in UNREMARKABLE else [])]


def _end(artifact: Artifact) -> str:
    """Return an input or output in a line."""
    said = [artifact.label, artifact.type, artifact.role, TAINTED if artifact.tainted is not None else None]
    return "  ".join(filter(None, said))


def _first(texts: Sequence[str]) -> list[str]:
    shown = 8
    more = len(texts) - shown
    return [*texts[:shown], *([f"and {more:,} more"] if more > 0 else [])]


def _took(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.3g} s"
    hours, rest = divmod(round(seconds), 60 * _MINUTE_S)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def _near(store: MetadataStore, thing: Thing) -> Graph:
    """Return what a thing was made from and what was made from it, two hops each way."""
    return lineage(store, name_of(thing), up=2, down=2, nodes_max=_NODES_MAX)


def _text(text: str) -> str:
    return escape(printable(text))


def _lines(text: str) -> str:
    kept = text[-_LONG_MAX:]
    return "\n".join(_text(line) for line in kept.split("\n"))


def _table(rows: Iterable[tuple[str, str]]) -> str:
    """Return rows of a name and HTML."""
    body = "".join(
        f'<tr><th scope="row" {_CELL}>{_text(name)}</th><td {_CELL}>{html or NONE}</td></tr>' for name, html in rows
    )
    return f'<table style="border-collapse:collapse">{body}</table>' if body else ""
