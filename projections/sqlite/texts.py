"""Nodes with a text in any of their words: every node is looked at, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from projections.sqlite.expressions import json_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from projections.query import Kind

_json: Final = msgspec.json.Encoder().encode
_ESCAPED: Final = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})


def containing(connection: apsw.Connection, kind: Kind, text: str, *, but: Sequence[str], limit: int) -> list[bytes]:
    """Return the bodies of nodes with a text in their name, external id, uri or properties, ASCII letters of either case.

    Best first: the name is it, begins with it, has it in it; the uri does; then the others; the newest first of each. but: custom
    properties that are not looked into.
    """
    pattern, quoted = text.translate(_ESCAPED), _json(text)[1:-1].decode().translate(_ESCAPED)
    named, uri = "name like ?2 escape '\\'", ["uri like ?2 escape '\\'"] if kind == "artifact" else []
    custom = f"json_remove(custom_properties, {', '.join(map(json_path, but))})" if but else "custom_properties"
    within = [f"json({column}) like ?3 escape '\\'" for column in ("properties", custom)]
    has = [named, "external_id like ?2 escape '\\'", *uri, *within]
    order = ["name like ?4 escape '\\'", "name like ?1 escape '\\'", named, *uri]
    sql = (
        f"select body from {kind} where {' or '.join(has)}"
        f" order by {', '.join(f'({one}) is true desc' for one in order)}, id desc limit ?5"
    )
    values = (f"{pattern}%", f"%{pattern}%", f"%{quoted}%", pattern, limit)
    rows: Any = connection.execute(sql, values).fetchall()
    return [row[0] for row in rows]
