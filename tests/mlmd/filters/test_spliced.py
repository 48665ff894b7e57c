"""Filters spliced from others, asked of the reference and of us: the same nodes or the same status."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import worked
from client import Reference
from environment import python_of_reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw import RawStore
from splices import CORPUS, departs, spliced, tokens

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb
from mlmd.proto import metadata_store_service_pb2 as service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.deep
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
SETTINGS = settings(
    max_examples=2_000 if DEEP else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
KINDS = {
    "artifact": (service.GetArtifactsRequest, service.GetArtifactsResponse),
    "execution": (service.GetExecutionsRequest, service.GetExecutionsResponse),
    "context": (service.GetContextsRequest, service.GetContextsResponse),
}


class Both(NamedTuple):
    """The worked store, twice."""

    ours: Callable[[str, bytes], tuple[int, str, bytes]]
    theirs: Callable[[str, bytes], tuple[int, str, bytes]]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    python = python_of_reference()
    if isinstance(python, str):
        pytest.skip(python)
    store = RawStore()
    with Reference(python) as reference:
        handle = reference.open(pb.ConnectionConfig(fake_database={}).SerializeToString())
        stores = Both(store.call, lambda method, request: reference.call(handle, method, request))
        for call in stores:
            worked.put(lambda method, request, call=call: call(method, request.SerializeToString()))
        yield stores
    store.close()


def answer(call: Callable[[str, bytes], tuple[int, str, bytes]], kind: str, text: str) -> tuple[int, str, Any]:
    request_class, response_class = KINDS[kind]
    request = request_class(options=pb.ListOperationOptions(filter_query=text, max_result_size=100))
    code, message, response = call(f"Get{kind.capitalize()}s", request.SerializeToString())
    nodes = getattr(response_class.FromString(response), f"{kind}s") if code == errors.OK else []
    return code, message, [node.id for node in nodes]


@pytest.mark.parametrize("kind", KINDS)
def test_the_pieces_are_of_filters_that_both_take(both: Both, kind: str) -> None:
    for text in CORPUS[kind]:
        ours, theirs = (answer(call, kind, text) for call in both)
        assert ours == theirs, text
        assert ours[0] == errors.OK, (text, ours)
        assert "".join(tokens(text)) == text


@pytest.mark.parametrize("kind", KINDS)
@SETTINGS
@given(data=st.data())
def test_a_spliced_filter_gets_the_same_answer_from_both(both: Both, kind: str, data: st.DataObject) -> None:
    for text in data.draw(st.lists(spliced(kind), min_size=10, max_size=10)):
        ours, theirs = (answer(call, kind, text) for call in both)
        if (ours[0], ours[2]) != (theirs[0], theirs[2]):
            assert departs(text, ours, theirs), f"{text!r}\nours: {ours}\ntheirs: {theirs}"
