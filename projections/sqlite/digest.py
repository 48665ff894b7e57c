"""The digest of a view's state: SHA-256 over every row, table by table, in the order of the primary keys.

Two views with equal digests hold equal rows; the order in which rows were written, pages and indexes play no part.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    import apsw

# Every column that is state. The schema version and the file's history are not.
_NODE: Final = "create_time, update_time, json(properties), json(custom_properties), body, since"
_TYPE: Final = "id, kind, name, version, external_id, description, base_type, json(properties), body, since"
_VERSIONED: Final = {
    "type": _TYPE,
    "artifact": f"id, type_id, name, external_id, uri, state, {_NODE}",
    "execution": f"id, type_id, name, external_id, state, {_NODE}",
    "context": f"id, type_id, name, external_id, {_NODE}",
}
_STATE: Final = {
    "view": "select log_id, applied, prev from view",
    **{table: f"select {columns} from {table} order by id" for table, columns in _VERSIONED.items()},
    **{
        f"{table}_past": f"select {columns}, until from {table}_past order by id, until"
        for table, columns in _VERSIONED.items()
    },
    "event": "select id, artifact_id, execution_id, type, is_output, time, body, since from event order by id",
    "attribution": "select context_id, artifact_id, seq from attribution order by context_id, artifact_id",
    "association": "select context_id, execution_id, seq from association order by context_id, execution_id",
    "parent_context": "select id, parent_id, child_id, since from parent_context order by id",
    "answered": "select transaction_id, request, response from answered order by transaction_id",
    # No answer holds these two, but answers depend on them.
    "landmark": "select offset, update_time from landmark order by offset",
    "disorder": "select tab, col from disorder order by tab, col",
}
_PERSONAL: Final = "select offset, rules from personal"
_encode: Final = msgspec.msgpack.Encoder().encode


def state_digest(connection: apsw.Connection) -> str:
    """Return the digest, 64 hexadecimal digits. The caller holds a transaction: one moment for all tables."""
    digest = sha256()
    for table, sql in _STATE.items():
        digest.update(_encode(table))
        for row in connection.execute(sql):
            digest.update(_encode(row))
    for row in connection.execute(
        _PERSONAL
    ):  # Added later: where nothing was declared, the digest is what it was before.
        digest.update(_encode(("personal", *row)))
    return digest.hexdigest()
