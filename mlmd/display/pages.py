"""One page of HTML that holds all it shows: no script, no request, so that it can be sent, kept and read years later."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from mlmd.display.cells import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:76em;padding:0 1em}"
    "h1{font-size:1.4em}h2{font-size:1.1em}footer{margin-top:2em;overflow-wrap:anywhere}"
)
# A browser that keeps to it does nothing but show: even if a name got through as markup, nothing would run and nothing be asked for.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, parts: Iterable[tuple[str, str]], citation: str) -> str:
    """Return a page. parts: titles and the HTML below each; citation: where it comes from, its last line."""
    sections = "".join(
        f'<h2>{escape(printable(name))}</h2><div style="overflow:auto">{html}</div>' for name, html in parts
    )
    named = escape(printable(title))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{named}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{named}</h1>{sections}</main><footer><small>{escape(printable(citation))}</small></footer></body></html>\n"
    )
