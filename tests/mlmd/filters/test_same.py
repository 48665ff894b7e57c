"""Filters at the edges of the language: answers that the published library gave, and gives still where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from client import Reference
from environment import python_of_reference
from raw import RawStore
from strategies import FIRST_CALLS

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[str, bytes], tuple[int, str, bytes]]

INVALID = errors.INVALID_ARGUMENT
# Over the artifacts of FIRST_CALLS: 1 has name, uri and the properties i and s, 2 has state LIVE. (filter, ids or status)
CASES = [
    # A property that is not there rules a node out, also where SQL would call the comparison true.
    ("2.5 NOT BETWEEN properties.d.double_value AND -2.25", []),
    ("NOT (2.5 BETWEEN properties.d.double_value AND -2.25)", []),
    ("2.5 NOT BETWEEN properties.i.double_value AND -2.25", [1]),
    ("abs(-9223372036854775808) < abs(properties.new.int_value)", []),
    # Literals, and names of types.
    ("id > -9223372036854775808", [1, 2]),
    ("id > -9223372036854775809", INVALID),
    ("id < 18446744073709551615", [1, 2]),
    ("id & 18446744073709551615 = id", INVALID),
    ("9223372036854775808 + id > 0", INVALID),
    ("id = １", INVALID),
    ("CAST(id AS INT32) = 1", [1]),
    ("CAST(id AS `int64`) = 1", [1]),
    ("CAST(id AS `nope`) = 1", INVALID),
    ("CAST(id AS 'INT64') = 1", INVALID),
    ("CAST(id AS float) / 2 = 0.5", [1]),
    ("CAST(id AS BOOLEAN)", [1, 2]),
    ("CAST(id AS INTEGER) = 1", INVALID),
    # What follows an enum attribute is a word, unless it cannot be taken for one.
    ("state = properties.i.int_value", INVALID),
    ("state != contexts_a.id", INVALID),
    ("state = state", INVALID),
    ("state = (state)", INVALID),
    ("state = (LIVE)", INVALID),
    ("state = 2", INVALID),
    ("state = (2)", [2]),
    ("state = -id", []),
    ("state = .5", []),
    ("state IN (LIVE, 2)", INVALID),
    ("state IN (2)", [2]),
    ("state IN (22)", INVALID),
    ("state IN (1, 2)", INVALID),
    ("state IN (id, -1)", [2]),
    ("state IN (1.5, 2)", [2]),
    ("state IN (1 + 1, 2)", [2]),
    ("state IN (properties.i.int_value)", []),
    ("state IN (LIVE, -1)", INVALID),
    ("state IN ((2), LIVE)", INVALID),
    # A single letter or digit between two commas makes it a list of expressions.
    ("state IN (2, 3, 4)", [2]),
    ("state IN ( 2 ,3,44 )", [2]),
    ("NOT state IN (1, 3, 4)", [2]),
    ("id IN (1,2) AND (type IN ('T', 'U', 'V') OR state IN (1, 2, 3))", [2]),
    ("state IN (2, 33, 4)", INVALID),
    ("state IN (LIVE, 2, PENDING)", INVALID),
    ("state IN (LIVE, PENDING, LIVE)", [2]),
    ("state IN (2,,3)", INVALID),
    # Words are numbers to what stands around them; != and NOT IN are in brackets.
    ("1 + state = LIVE", []),
    ("1 + state = MARKED_FOR_DELETION", [2]),
    ("- state = LIVE", []),
    ("NOT - state = LIVE", [2]),
    ("- - state = LIVE", [2]),
    ("+ state IN (LIVE)", [2]),
    ("2 * state IN (LIVE, DELETED)", [2]),
    ("id & state = LIVE", [2]),
    ("state = LIVE + 1", []),
    ("state = LIVE - 1", []),
    ("state = LIVE | 1", []),
    ("state = PENDING * 2", [2]),
    ("1 + state != LIVE", INVALID),
    ("- state NOT IN (LIVE)", INVALID),
    ("state + 0 = LIVE", INVALID),
    ("state != PENDING IS TRUE", [1, 2]),
    ("state NOT IN (PENDING) = true", [1, 2]),
    ("state = LIVE IS TRUE", INVALID),
    ("id < state = LIVE", INVALID),
    ("CAST(state = LIVE AS INT64) = 1", [2]),
    # A comparison is no operand of another, also behind NOT.
    ("NOT id < 2 = true", INVALID),
    ("NOT NOT id = 1 = true", INVALID),
    ("NOT id IS NULL IS TRUE", INVALID),
    ("id = 1 OR NOT id = 2 = true", INVALID),
    ("NOT id < 2 AND id > 0", [2]),
    ("NOT true = false", [1, 2]),
    ("NOT (id = 1) = true", [2]),
    # NULL as an operand.
    ("NULL + 1 = 2 OR true", INVALID),
    ("-NULL = 1 OR true", INVALID),
    ("+NULL = 1 OR true", INVALID),
    ("1 | NULL = 1 OR true", INVALID),
    ("~NULL = 1 OR true", INVALID),
    ("NULL / 2 IS NULL", INVALID),
    ("id - (NULL) = 1 OR true", INVALID),
    ("NULL << 1 IS NULL", [1, 2]),
    ("1 >> NULL IS NULL", [1, 2]),
    ("ABS(NULL) IS NULL", [1, 2]),
    # Literals above INT64 are a type of their own: with a double a double, else the largest INT64.
    ("9223372036854775807 = 18446744073709551615", [1, 2]),
    ("9223372036854775807 < 9223372036854775808", []),
    ("id < 18446744073709551615 AND 18446744073709551615 > id", [1, 2]),
    ("id IN (1, 18446744073709551615)", INVALID),
    ("id BETWEEN 1 AND 18446744073709551615", INVALID),
    ("18446744073709551615 IN (1.5, id)", []),
    ("18446744073709551615 BETWEEN 9223372036854775808 AND 18446744073709551615", [1, 2]),
    ("1.0e19 < 18446744073709551615", [1, 2]),
    ("1.5 + 18446744073709551615 > 1.0e19", [1, 2]),
    ("id / 18446744073709551615 < 1.0e-19", [1]),
    ("18446744073709551615 + 18446744073709551615 > 1", [1, 2]),
    ("18446744073709551615 * 1 > 1", INVALID),
    ("18446744073709551615 & 18446744073709551615 > 1", [1, 2]),
    ("18446744073709551615 & 1 = 1", INVALID),
    ("18446744073709551615 << 1 > 1", []),
    ("1 << 18446744073709551615 > 1", INVALID),
    ("~18446744073709551615 < 0", [1, 2]),
    ("-18446744073709551615 < 0", INVALID),
    ("- -9223372036854775808 > 9223372036854775807", [1, 2]),
    ("COALESCE(id, 18446744073709551615) = 1", INVALID),
    ("COALESCE(18446744073709551615, NULL) > 1", [1, 2]),
    ("NULLIF(18446744073709551615, 1) = 1", INVALID),
    ("CASE id WHEN 18446744073709551615 THEN true ELSE false END", INVALID),
    ("SUBSTR(name, 18446744073709551615) = ''", INVALID),
    ("ABS(18446744073709551615) = 9223372036854775807", [1, 2]),
    ("CAST(18446744073709551615 AS STRING) = '18446744073709551615'", [1, 2]),
    ("CAST(18446744073709551615 AS FLOAT64) > 1.0e19", [1, 2]),
    # FORMAT converts nothing, and counts.
    ("FORMAT('%d', id) = '1'", [1]),
    ("FORMAT('%5.2f|%s', id / 1, name) = ' 1.00|a'", [1]),
    ("FORMAT('%*d%%', 3, id) = '  1%'", [1]),
    ("FORMAT('%x', NULL) = '0'", [1, 2]),
    ("FORMAT('%.2f', id) = '1.00'", INVALID),
    ("FORMAT('%d', '1') = '1'", INVALID),
    ("FORMAT('%s', id) = '1'", INVALID),
    ("FORMAT('%u', id) = '1'", INVALID),
    ("FORMAT('%c', id) = '1'", INVALID),
    ("FORMAT('%ld', id) = '1'", INVALID),
    ("FORMAT('%d%d', id) = '1'", INVALID),
    ("FORMAT('%d', id, id) = '1'", INVALID),
    ("FORMAT('a%') = 'a'", INVALID),
    ("FORMAT('%t', id) = '1'", []),
    ("FORMAT(name, id) = 'a'", [1]),
    # An integer beside a double is a double, and so loses its last digits.
    ("9007199254740993 = 9007199254740992.0", [1, 2]),
    ("9007199254740993 BETWEEN 9007199254740992.0 AND 9007199254740992.0", [1, 2]),
    ("9007199254740993 IN (9007199254740992.0, 1)", [1, 2]),
    ("9007199254740993 > 9007199254740992.0", []),
    ("IFNULL(9007199254740993, 1.5) = 9007199254740992.0", [1, 2]),
    ("CASE WHEN true THEN 9007199254740993 ELSE 1.5 END = 9007199254740992.0", [1, 2]),
    ("CASE 9007199254740993 WHEN 9007199254740992.0 THEN true END", [1, 2]),
    ("9007199254740993 / 1 = 9007199254740992", [1, 2]),
    ("id * 1.0 = 1 AND id < 2.5 AND id IN (1.0, 7)", [1]),
    ("ROUND(1.25, 1) = 1.3", [1, 2]),
    # Literal texts are cast as GoogleSQL does, what is stored as SQLite does.
    ("CAST('TRUE' AS BOOL)", [1, 2]),
    ("CAST('false' AS BOOL) = false", [1, 2]),
    ("CAST('-0x10' AS INT64) = -16", [1, 2]),
    ("CAST('0x10' AS FLOAT64) = 16", [1, 2]),
    ("CAST('+5' AS INT64) = 5", [1, 2]),
    ("CAST('abc' AS INT64) = 0", [1, 2]),
    ("CAST('inf' AS FLOAT64) > 1", []),
    ("CAST('9223372036854775808' AS INT64) = 9223372036854775807", [1, 2]),
    ("SAFE_CAST('a' AS INT64) = 0", []),
    ("SAFE_CAST('a' AS INT64) IS NULL", [1, 2]),
    ("SAFE_CAST('12' AS INT64) = 12", [1, 2]),
]


# Over three artifacts more, with these values as the custom property n.
BIG = [pb.Value(int_value=2**53 + 1), pb.Value(int_value=2**63 - 1), pb.Value(double_value=2.0**53)]
BIG_CASES = [
    ("custom_properties.n.int_value = 9007199254740992.0", [3]),
    ("custom_properties.n.int_value > 9007199254740992.0", [4]),
    ("custom_properties.n.int_value IN (9007199254740992.0)", [3]),
    ("custom_properties.n.int_value = 9223372036854775808.0", [4]),
    ("custom_properties.n.int_value < 9223372036854775807.0", [3]),
    ("custom_properties.n.int_value / 2 > 4611686018427387903", []),
    ("custom_properties.n.int_value < 9223372036854775808", [3]),
    ("custom_properties.n.int_value = 9007199254740993", [3]),
    ("custom_properties.n.int_value > 0.5", [3, 4]),
    ("COALESCE(custom_properties.n.int_value, 1.5) = 9007199254740992.0", [3]),
    ("CASE WHEN id > 0 THEN custom_properties.n.int_value ELSE 1.5 END = 9007199254740992.0", [3]),
    ("custom_properties.n.int_value + 0.5 > 9007199254740992.0", [4]),
    ("custom_properties.n.double_value = 9007199254740993", [5]),
    ("custom_properties.n.double_value IN (9007199254740993, 1)", [5]),
    ("custom_properties.n.double_value = id + 9007199254740987", [5]),
]


def answers(call: Call) -> list[list[int] | int]:
    for first in FIRST_CALLS:
        assert call(first.method, first.request.SerializeToString())[0] == errors.OK
    found = asked(call, CASES)
    more = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=10, custom_properties={"n": one}) for one in BIG])
    assert call("PutArtifacts", more.SerializeToString())[0] == errors.OK
    return found + asked(call, BIG_CASES)


def asked(call: Call, cases: list[tuple[str, Any]]) -> list[list[int] | int]:
    found: list[list[int] | int] = []
    for text, _ in cases:
        request = service.GetArtifactsRequest(options=pb.ListOperationOptions(filter_query=text))
        code, _, response = call("GetArtifacts", request.SerializeToString())
        artifacts = service.GetArtifactsResponse.FromString(response).artifacts
        found.append(code if code != errors.OK else [artifact.id for artifact in artifacts])
    return found


def differences(found: list[list[int] | int]) -> list[tuple[str, object, object]]:
    return [(text, want, got) for (text, want), got in zip(CASES + BIG_CASES, found, strict=True) if want != got]


def test_filters_are_answered_as_the_published_library_answers_them():
    store = RawStore()
    assert differences(answers(store.call)) == []
    store.close()


def test_the_published_library_answers_so():
    python = python_of_reference()
    if isinstance(python, str):
        pytest.skip(python)
    with Reference(python) as reference:
        handle = reference.open(pb.ConnectionConfig(fake_database={}).SerializeToString())
        assert differences(answers(lambda method, request: reference.call(handle, method, request))) == []


def test_a_text_that_is_stored_is_not_cast_safely() -> None:
    store = RawStore()
    request = service.GetArtifactsRequest(options=pb.ListOperationOptions(filter_query="SAFE_CAST(name AS INT64) = 1"))
    code, message, _ = store.call("GetArtifacts", request.SerializeToString())
    assert code == INVALID
    assert "SAFE_CAST" in message
    store.close()
