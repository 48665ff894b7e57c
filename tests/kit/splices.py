"""Hypothesis strategies for filters made of pieces of others: most are wrong, in ways that nobody thinks of.

Over the nodes of `worked`. `filters` draws from the grammar and knows what it draws; this cuts right filters into tokens, and joins,
swaps, replaces and drops these.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from filters import excused
from hypothesis import strategies as st

from mlmd import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    Strategy = st.SearchStrategy[str]

_OF_ANY_KIND: Final = """
id = 1
id IN (1, 3, 99) AND name != 'x'
id NOT BETWEEN 2 AND 3 OR true
NOT NOT id = 1
id < 2.5
type LIKE '%e%' AND type_id > 0
name NOT LIKE '_1'
name IN ('d1', NULL, "run1")
external_id IS NOT NULL
(external_id = 'ext-a3') IS UNKNOWN
(id = 1) IS NOT TRUE
(id < 3) = true
create_time_since_epoch + 1 > last_update_time_since_epoch
CASE id WHEN 1 THEN true WHEN 2 THEN false END
CASE WHEN id = 1 THEN 'a' ELSE name END = 'a'
COALESCE(name, external_id, 'zz') LIKE '%1'
IFNULL(external_id, 'q') != 'q'
NULLIF(name, 'd1') IS NULL
CAST(id AS STRING) = '1'
CAST('12' AS INT64) = id + 9
CAST(id AS FLOAT64) / 2 > .5
ROUND(id / 3, 1) = 0.3
ABS(-id) = 3 OR SIGN(id - 3) = -1
LENGTH(name) > 2
SUBSTR(name, 2) = '1' OR SUBSTR(name, -1, 1) = '2'
TRIM(name) = LTRIM(name, 'd')
REPLACE(name, 'd', 'm') = UPPER('m1')
UNICODE(name) = 100
FORMAT('%d|%s', id, name) = '1|d1'
id << 1 = 4 OR id >> 1 = 1
id & 1 = 1 AND ~ id = -2 AND id | 2 = 3
id = 0x3 OR id - 1 = 0 * 2
id < 18446744073709551615
id * 4611686018427387904 > 9223372036854775807
name BETWEEN 'a' AND r'e'
'''d1''' = name
"""
_OF_KIND: Final = {
    "artifact": """
uri LIKE '/data/%' OR uri = ''
state = LIVE OR 2 = state
state != PENDING AND id < 4
state NOT IN (LIVE, DELETED)
state IN (LIVE) OR state >= 3
state + 1 = 3
properties.span.int_value = 1 OR properties.split.string_value = 'test'
properties.prod.bool_value
NOT properties.prod.bool_value = true
properties.acc.double_value IN (0.9, 1)
custom_properties.n.int_value > 0 OR custom_properties.n.double_value > 0
custom_properties.`my prop`.string_value = 'x y'
custom_properties.TAG.string_value = 'red'
contexts_a.name = 'pipe' AND contexts_b.name = 'run1'
NOT contexts_a.type = 'Run'
events_a.type = INPUT AND events_b.type = OUTPUT
events_a.type != INPUT
events_a.milliseconds_since_epoch BETWEEN 1000 AND 2000
events_a.execution_id IN (1, 2)
""",
    "execution": """
last_known_state = COMPLETE
last_known_state != FAILED
last_known_state IN (FAILED, RUNNING, CACHED)
NOT last_known_state IS NULL
properties.steps.int_value / 100 = 1
properties.note.string_value = 'ok'
custom_properties.tag.string_value LIKE 'R%'
events_a.artifact_id = 4 AND events_a.type = INPUT
events_0.artifact_id = 1 AND events_1.artifact_id = 2
contexts_a.type = 'Pipeline'
""",
    "context": """
parent_contexts_a.name = 'pipe'
parent_contexts_a.id = 1 AND parent_contexts_b.id = 4
child_contexts_a.name LIKE 'run%'
artifacts_a.state = LIVE AND artifacts_b.uri = '/data/2'
executions_a.last_known_state IN (RUNNING)
executions_a.id = 1 AND executions_b.id = 2
properties.owner.string_value = 'bob'
custom_properties.tag.string_value = 'blue'
properties.n.int_value = 1 OR properties.n.int_value = 2
""",
}
CORPUS: Final = {kind: [line for line in (_OF_ANY_KIND + own).splitlines() if line] for kind, own in _OF_KIND.items()}
_TOKEN: Final = re.compile(
    r"""(?:custom_)?properties\.(?:`[^`]*`|\w+)\.\w+ | \w+_\w+\.\w+ | '''.*?''' | r?'[^']*' | "[^"]*" | `[^`]*`"""
    r"""| \d*\.\d+ | \w+ | <= | >= | != | << | >> | \s+ | .""",
    re.VERBOSE | re.DOTALL,
)
_FRAMES: Final = (
    *("({0}) AND NOT ({1})", "NOT ({0}) OR {1}", "({0}) = ({1})", "({0}) IS NULL OR {1}", "COALESCE({0}, {1})"),
    *("CASE WHEN {0} THEN {1} END", "({0}) IN ({1}, true)", "NULLIF({0}, {1})", "({0}) < ({1})", "NOT {0} = {1}"),
)
_MORE: Final = (
    *("(", ")", ",", ".", "NOT", "AND", "OR", "-", "+", "NULL", "TRUE", "IS", "IN", "LIKE", "BETWEEN", "= 1", "<>"),
    *("1.5", "-1", "''", "'%'", "'1.5'", "INT64", "BOOL", "LIVE", "RUNNING", "OUTPUT", "id", "@p", ";", "XOR", "9e18"),
)


def tokens(text: str) -> list[str]:
    """Return a filter in pieces; joined they are the filter."""
    return _TOKEN.findall(text)


@st.composite
def spliced(draw: Callable[..., Any], kind: str) -> str:
    """Draw a filter over nodes of a kind."""
    whole = st.sampled_from(CORPUS[kind])
    text = draw(whole)
    if draw(st.integers(0, 4)) == 0:
        text = draw(st.sampled_from(_FRAMES)).format(text, draw(whole))
    pieces = tokens(text)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(pieces) - 1)))
        source = tokens(draw(whole))
        start = draw(st.integers(0, len(source) - 1))
        change = draw(st.sampled_from(["replace", "replace", "more", "insert", "drop", "swap", "run"]))
        if change == "swap" and pieces:
            other = draw(st.integers(0, len(pieces) - 1))
            pieces[at], pieces[other] = pieces[other], pieces[at]
        else:
            new = {
                "replace": [source[start]],
                "more": [f" {draw(st.sampled_from(_MORE))} "],
                "insert": [" ", source[start], " "],
                "run": [" ", *source[start : start + draw(st.integers(1, 6))], " "],
            }.get(change, [])
            pieces[at : at + (change in ("replace", "more", "drop"))] = new
    return "".join(pieces)


_NEIGHBOURS_STATE: Final = re.compile(
    r"(artifacts|executions)_\w+\.(state|last_known_state)\s*(!=|not\b)", re.IGNORECASE
)
_CAST_HERE: Final = re.compile(r"\bas\s+(string|bool)\b", re.IGNORECASE)
_FAR: Final = re.compile(r"substr.*\d{19}", re.IGNORECASE | re.DOTALL)


def departs(text: str, ours: tuple[int, str, Any], theirs: tuple[int, str, Any]) -> bool:
    """Tell whether two answers to a filter, as (code, message, found), differ in a way that docs/compatibility.md knows."""
    if ours[0] == theirs[0]:
        # Casts are GoogleSQL's; the SQLite in the reference reckons wrongly with the ends of texts beyond all measure.
        return _CAST_HERE.search(text) is not None or _FAR.search(text) is not None
    if _NEIGHBOURS_STATE.search(text) and theirs[0] == errors.INVALID_ARGUMENT:
        return ours[0] == errors.OK
    return excused(text, ours[0], theirs[0], theirs[1])
