"""A lineage as SVG: no script, no outside request, readable where styles are taken away, and years later.

| shape or line | means                                       |
| pill          | an artifact                                 |
| box           | an execution                                |
| double border | tainted: not to be used                     |
| dashed border | not finished: running, pending or lost      |
| thick border  | what was asked about                        |
| faint, dashed | not there yet at the moment that is shown   |
| around it     | dashes: added; dots: changed; a bar across: gone, since the moment that it is compared with |

Colours only repeat what shapes, lines and words say. The light ones are attributes, so they stay where a style sheet is not kept; the
dark ones come with `prefers-color-scheme`. The picture brings its own background.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from unicodedata import east_asian_width

from mlmd.display.cells import printable
from mlmd.display.folding import NODES_MAX, folded
from mlmd.display.layout import GAP, MARGIN, NODE_HEIGHT, NODE_WIDTH, layout
from mlmd.display.nodes import ADDED, CHANGED, GONE, TAINTED, UNBORN, hidden_in_words, remarks, title, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlmd.display.graph import Edge, Graph, Node
    from mlmd.display.layout import Layout, Point

LIGHT: Final = {
    "ground": "#ffffff",
    "text": "#1f2328",
    "faint": "#59636e",
    "artifact": "#e7f0fa",
    "execution": "#f6f1e1",
    "border": "#24527a",
    "bad": "#a40e26",
    "good": "#116329",
    "changed": "#7d4e00",
}
DARK: Final = {
    "ground": "#0d1117",
    "text": "#e6edf3",
    "faint": "#a3adb8",
    "artifact": "#12263c",
    "execution": "#2b2513",
    "border": "#8cc0f5",
    "bad": "#ff9a94",
    "good": "#7ee2a8",
    "changed": "#f2cc60",
}
_CLASSES: Final = {  # Of an element: which colour fills it, which one draws it.
    "g0": ("ground", None),
    "ta": ("text", None),
    "tf": ("faint", None),
    "na": ("artifact", "border"),
    "ne": ("execution", "border"),
    "ba": ("artifact", "bad"),
    "be": ("execution", "bad"),
    "gh": (None, "faint"),
    "ad": (None, "good"),
    "ch": (None, "changed"),
    "go": (None, "bad"),
    "ed": (None, "faint"),
    "ar": ("faint", None),
    "ro": ("faint", "ground"),
}
_MARKS: Final = {
    ADDED: ("ad", "6 3"),
    CHANGED: ("ch", "1.5 3"),
    GONE: ("go", ""),
}  # Of a flag: how what is around it looks.
_AROUND: Final = -3.5
_XMLNS: Final = "http://www.w3.org/2000/svg"
_FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif"
_BIG, _SMALL = 12.0, 9.5
_PER_EM: Final = 0.56  # The width of a usual character of such a font.
_WIDE: Final = 1.3  # Times that, a capital.
_LINE: Final = 15.0
_HEAD: Final = 6
_STUB: Final = 11.0  # Room below the lowest node for what is said there.
_LEGEND_OF_MOMENTS: Final = (
    (UNBORN, "faint: not there yet"),
    (ADDED, "dashes around it: added"),
    (CHANGED, "dots around it: changed"),
    (GONE, "crossed out: gone"),
)
_LEGEND: Final = (("artifact", "pill: artifact"), ("execution", "box: run"))


def picture(
    graph: Graph,
    nodes_max: int = NODES_MAX,
    *,
    drawn: Layout | None = None,
    link: Callable[[Node], str] = lambda _: "",
    legend: Sequence[str] | None = None,
) -> str:
    """Return the picture of a lineage, folded where it has more nodes than that.

    drawn: where everything goes, if that is known. link: the address of the page of a node, "" for none. legend: what is written below
    instead of what shapes mean.
    """
    if drawn is None:
        graph = folded(graph, nodes_max)
        drawn = layout((node.key for node in graph.nodes), ((edge.source, edge.target) for edge in graph.edges))
    feet = _feet(graph) if legend is None else [printable(one) for one in legend if one]
    width = max(drawn.width, 2 * MARGIN + NODE_WIDTH)
    lines = [line for foot in feet for line in _wrapped(foot, width - 2 * MARGIN, _SMALL)]
    height = drawn.height + _STUB + _LINE * len(lines)
    roots = set(graph.roots)
    size = f'width="{width:g}" height="{height:g}"'
    links = {node.key: link(node) for node in graph.nodes}
    role = "group" if any(links.values()) else "img"  # What is in an image is not reached: links would be lost.
    parts = [
        f'<svg xmlns="{_XMLNS}" class="evlog-lineage" role="{role}" {size} viewBox="0 0 {width:g} {height:g}" font-family="{_FONT}">',
        f"<title>{escape(_name(graph))}</title><desc>{escape('. '.join(feet))}</desc>",
        f"<style>{STYLE}</style>",
        f"<rect {_look('g0')} {size}/>",
    ]
    routed = [
        (edge, drawn.routes[ends]) for edge in graph.edges if (ends := (edge.source, edge.target)) in drawn.routes
    ]
    parts += [_edge(edge, points) for edge, points in routed]
    parts += [_role(edge, points) for edge, points in routed if edge.role]
    parts += [
        _linked(
            _node(node, drawn.places[node.key], root=node.key in roots, hidden=graph.hidden.get(node.key, 0)),
            links[node.key],
        )
        for node in graph.nodes
    ]
    parts += [_text(line, MARGIN, drawn.height + _STUB + _LINE * at, "tf", _SMALL) for at, line in enumerate(lines)]
    return "".join([*parts, "</svg>"])


def _name(graph: Graph) -> str:
    named = {node.key: node for node in graph.nodes}
    roots = [title(named[key]) for key in graph.roots if key in named]
    return f"Lineage of {', '.join(roots)}" if roots else "Lineage"


def _feet(graph: Graph) -> list[str]:
    """Return what is written below: what shapes mean, as far as they are there, and the note."""
    legend = [words for kind, words in _LEGEND if any(node.kind == kind for node in graph.nodes)]
    if any(TAINTED in node.flags for node in graph.nodes):
        legend.append("double border: tainted")
    if any(unfinished(node) and UNBORN not in node.flags for node in graph.nodes):
        legend.append("dashed: not finished")
    flags = {flag for node in graph.nodes for flag in node.flags}
    legend += [words for flag, words in _LEGEND_OF_MOMENTS if flag in flags]
    return [one for one in (" · ".join(legend), printable(graph.note)) if one]


def _look(name: str) -> str:
    """Return class, fill and stroke of an element."""
    fill, stroke = _CLASSES[name]
    drawn = f' stroke="{LIGHT[stroke]}"' if stroke else ""
    return f'class="{name}" fill="{LIGHT[fill] if fill else "none"}"{drawn}'


def _dark() -> str:
    rules = "".join(
        f".evlog-lineage .{name}{{{f'fill:{DARK[fill]};' if fill else ''}{f'stroke:{DARK[stroke]}' if stroke else ''}}}"
        for name, (fill, stroke) in _CLASSES.items()
    )
    return f"@media (prefers-color-scheme:dark){{{rules}}}"


STYLE: Final = _dark()  # The same in every picture, so that who shows one can let it through by its hash.


def _text(text: str, x: float, y: float, look: str, size: float, *, anchor: str = "", weight: str = "") -> str:
    more = (f' text-anchor="{anchor}"' if anchor else "") + (f' font-weight="{weight}"' if weight else "")
    return f'<text {_look(look)} x="{x:g}" y="{y:g}" font-size="{size:g}"{more}>{escape(text)}</text>'


def _node(node: Node, at: Point, *, root: bool, hidden: int) -> str:
    x, y = at
    bad, unborn = TAINTED in node.flags, UNBORN in node.flags
    look = "gh" if unborn else f"{'b' if bad else 'n'}{node.kind[0]}"
    ink = "tf" if unborn else "ta"
    dash = ' stroke-dasharray="5 3"' if unfinished(node) else ""
    boxes = _box(node, at, 0, f'{_look(look)} stroke-width="{2.5 if root else 1}"{dash}')
    if bad:
        boxes += _box(node, at, 3, _look(look))
    head, said = title(node), remarks(node)
    tail = " · ".join(said)
    room = NODE_WIDTH - 20
    words = _text(
        _fitting(head, room, _BIG),
        x,
        y - (2 if tail else -4),
        ink,
        _BIG,
        anchor="middle",
        weight="600" if root else "",
    )
    if tail:
        words += _text(_fitting(tail, room, _SMALL), x, y + 11, ink, _SMALL, anchor="middle")
    if hidden:
        words += _text(hidden_in_words(node, hidden), x, y + NODE_HEIGHT / 2 + 9, "tf", _SMALL, anchor="middle")
    boxes += "".join(_mark(node, at, flag) for flag in _MARKS if flag in node.flags)
    told = ", ".join([head, printable(node.key), *said])
    return f'<g data-key="{escape(printable(node.key))}"><title>{escape(told)}</title>{boxes}{words}</g>'


def _linked(drawn: str, address: str) -> str:
    return f'<a href="{escape(address)}">{drawn}</a>' if address else drawn


def _mark(node: Node, at: Point, flag: str) -> str:
    """Draw what became of a node around it, and across it where it is gone."""
    look, dashes = _MARKS[flag]
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    around = _box(node, at, _AROUND, f'{_look(look)} stroke-width="1.5"{dash}')
    if flag != GONE:
        return around
    left, right = at[0] - NODE_WIDTH / 2 - 6, at[0] + NODE_WIDTH / 2 + 6
    return f'{around}<path {_look(look)} stroke-width="1.5" d="M{left:g} {at[1]:g}H{right:g}"/>'


def _box(node: Node, at: Point, inset: float, look: str) -> str:
    width, height = NODE_WIDTH - 2 * inset, NODE_HEIGHT - 2 * inset
    radius = height / 2 if node.kind == "artifact" else 3
    return f'<rect {look} x="{at[0] - width / 2:g}" y="{at[1] - height / 2:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"/>'


def _edge(edge: Edge, points: Sequence[Point]) -> str:
    """Draw a line with a head at the target."""
    (x, y), before = points[-1], points[-2][0]
    back = -_HEAD if x > before else _HEAD
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for (start_x, start_y), (end_x, end_y) in pairwise(points):
        middle = (start_x + end_x) / 2
        bent = f"C{middle:g} {start_y:g} {middle:g} {end_y:g} {end_x:g} {end_y:g}"
        path += f"H{end_x:g}" if start_y == end_y else bent
    said = printable(", ".join(filter(None, (edge.role, edge.flag))))
    told = f"<title>{escape(said)}</title>" if said else ""
    head = f'<path {_look("ar")} d="M{x:g} {y:g}l{back} -3v6z"/>'
    dash = {UNBORN: ' stroke-dasharray="2 4"', ADDED: ' stroke-dasharray="6 3" stroke-width="1.5"'}.get(edge.flag, "")
    return f'<g>{told}<path {_look("ad" if edge.flag == ADDED else "ed")}{dash} d="{path}"/>{head}</g>'


def _role(edge: Edge, points: Sequence[Point]) -> str:
    """Write the role of an edge where it leaves its source; other lines pass behind it."""
    (x, y), after = points[0], points[1][0]
    text = _fitting(printable(edge.role), GAP - 8, _SMALL)
    halo = f'{_look("ro")} stroke-width="3" paint-order="stroke" stroke-linejoin="round"'
    forth = after > x
    anchor = "" if forth else ' text-anchor="end"'
    return f'<text {halo} x="{x + (4 if forth else -4):g}" y="{y - 4:g}" font-size="{_SMALL:g}"{anchor}>{escape(text)}</text>'


def _columns(char: str) -> float:
    return 1.8 if east_asian_width(char) in "WF" else _WIDE if char.isupper() else 1.0


def _fitting(text: str, room: float, size: float) -> str:
    """Return as much of a text as has room in so many pixels."""
    em = size * _PER_EM
    if (text.isascii() and len(text) * _WIDE * em <= room) or sum(map(_columns, text)) * em <= room:
        return text
    left, kept = room / em - 1, ""
    for char in text:
        left -= _columns(char)
        if left < 0:
            break
        kept += char
    return kept.rstrip() + "…"


def _wrapped(text: str, room: float, size: float) -> list[str]:
    """Return a text in lines; a word that is longer than a line is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and sum(map(_columns, longer)) * size * _PER_EM > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_fitting(line, room, size) for line in lines]
