"""Nodes with a text in any of their words: every node is looked at, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import apsw
import msgspec

from projections.sqlite.expressions import json_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.query import Kind

_json: Final = msgspec.json.Encoder().encode
_ESCAPED: Final = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})
_NAMED: Final = "name like ?2 escape '\\'"
_NEWEST_FIRST: Final = "id desc"  # Which stops as soon as there are enough.
_NEWEST_OF_FEW: Final = "+id desc"  # An index has the few that have an external id at all, in another order.
_NAMED_BEST_FIRST: Final = "name like ?4 escape '\\' desc, name like ?1 escape '\\' desc, id desc"


def containing(connection: apsw.Connection, kind: Kind, text: str, *, but: Sequence[str], limit: int) -> list[bytes]:
    """Return the bodies of nodes with a text in their name, external id, uri or properties, ASCII letters of either case.

    Best first: the name is it, begins with it, has it in it; the uri does; the external id; then properties; the newest first of
    each. but: custom properties that are not looked into.
    """
    pattern, quoted = text.translate(_ESCAPED), _json(text)[1:-1].decode().translate(_ESCAPED)
    within = [f"json({column}) like ?3 escape '\\'" for column in ("properties", _without("custom_properties", but))]
    tiers = [(_NAMED, _NAMED_BEST_FIRST)]
    if kind == "artifact":
        tiers.append(("uri like ?2 escape '\\'", _NEWEST_FIRST))
    tiers.append(("external_id is not null and external_id like ?2 escape '\\'", _NEWEST_OF_FEW))
    tiers.append((" or ".join(within), _NEWEST_FIRST))
    values = (f"{pattern}%", f"%{pattern}%", f"%{quoted}%", pattern)
    found: list[bytes] = []
    for at, (tier, order) in enumerate(tiers):
        better = "".join(f" and ({one}) is not true" for one, _ in tiers[:at])
        sql = f"select body from {kind} where ({tier}){better} order by {order} limit ?5"
        rows: Any = connection.execute(sql, (*values, limit - len(found))).fetchall()
        found += [row[0] for row in rows]
        if len(found) == limit:
            break
    return found


def _without(column: str, but: Sequence[str]) -> str:
    """Return an expression for properties without some. Most nodes have none of them, and are spared a copy."""
    if not but:
        return column
    has = " or ".join(f"instr({column}, {apsw.format_sql_value(_json(one)[1:-1])})" for one in but)
    return f"case when {has} then json_remove({column}, {', '.join(map(json_path, but))}) else {column} end"
