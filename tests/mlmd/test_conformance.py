"""The same requests to the reference and to us: the same status, the same payload.

What is made equal before the comparison stands in NORMALISED, with its reason, and nothing else is. Messages of refusals are for
people: only the fragments that callers are known to match on are compared, the rest is logged.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

import pytest
from client import AbsentMethodError, Reference
from filters import excused
from google.protobuf.message import DecodeError, Message
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from questions import Cut, Resume, asks, bridges, cuts, odd_bytes, webs
from raw import RawStore
from serving import ServedStore
from strategies import FIRST_CALLS, KINDS, SAFE, Call, Rewrite, Walk, everything, puts, reads

from mlmd import errors
from mlmd.methods import METHODS
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.deep
NORMALISED: Final = """
what                                            reason
----------------------------------------------  ------------------------------------------------------------------------
times given by the store                        each becomes the number of the request during which it was read from the
                                                clock, so what is equal, newer or moved must agree
LAST_UPDATE_TIME order within one request       the reference reads the clock for each node, so its order is chance
tokens of the two time orders                   they hold times: compared after decoding, the times as above
GetArtifactsByURI, order of the uris            the reference walks a hash table; ids within a uri are compared
GetKTypes without external_id                   decision 13: every getter fills every stored field
GetKTypesByExternalIds without base_type,       decision 13
input_type and output_type
populated artifact_types without base_type      decision 13
uniqueness clash on update: INTERNAL            decision 6: ALREADY_EXISTS, as on create
unknown ids in events of composite puts         decision 5: INVALID_ARGUMENT. Where the reference takes them, the two stores
                                                part, and the sequence ends there
sizes above 100                                 no page without a token while more remain; kept below 100 nodes here
LAST_UPDATE_TIME pages that loop                ours never do; compared as far as the reference's first repeat
filters that only the reference refuses         it writes SQL that SQLite refuses, or one enum word twice: `filters.excused`
GetLineageSubgraph, order of nodes and links    the reference walks hash tables, also when PutLineageSubgraph makes the links
GetLineageSubgraph, types without external_id   decision 13
and base_type
GetParentContextsByContexts,                    not in the reference's binding: compared with what its ...ByContext say, one by
GetChildrenContextsByContexts                   one, in any order
GetLineageGraph                                 not in the reference's binding: UNIMPLEMENTED
"""

FAKE: Final = pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig()).SerializeToString()
FRAGMENTS: Final = ("unmatched property type", "downgrade_to_schema_version not specified")
TIMES: Final = ("create_time_since_epoch", "last_update_time_since_epoch")
BY_TIME: Final = (
    pb.ListOperationOptions.OrderByField.CREATE_TIME,
    pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME,
)
BY_UPDATE: Final = pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME
PAGES_MAX: Final = 40
ABSENT: Final = ("GetLineageGraph", "GetParentContextsByContexts", "GetChildrenContextsByContexts")  # In its binding.
_FIRST_NUMBER: Final = 1_000_000  # No time that is drawn.
_LOG: Final = logging.getLogger(__name__)


class Clock:
    """Numbers the requests, so that the clock stands on another millisecond in each."""

    def __init__(self) -> None:
        self._starts: list[int] = []

    def next(self) -> None:
        """Begin the next request."""
        start = time.time_ns() // 1_000_000 + 2  # The reference rounds up, and may have read its clock just now.
        time.sleep(0.001)
        while time.time_ns() // 1_000_000 < start:
            time.sleep(0.0002)
        self._starts.append(start)

    def number(self, time_ms: int) -> int:
        """Return the number of the request in which a time was read; a time that a caller gave stays as it is."""
        if not self._starts or time_ms < self._starts[0] or time_ms > self._starts[-1] + 3_600_000:
            return time_ms
        return _FIRST_NUMBER + bisect_right(self._starts, time_ms)


class Pair:
    """The reference and us, side by side."""

    def __init__(self, reference: Reference, ours: RawStore | ServedStore) -> None:
        self.reference, self.handle = reference, reference.open(FAKE)
        self.ours = ours
        self.clock = Clock()
        self.parted = False
        self.tokens_seen: list[tuple[Any, str, str]] = []  # (order, ours, theirs)
        for call in FIRST_CALLS:
            self.do(call)

    def close(self) -> None:
        self.reference.close(self.handle)
        self.ours.close()

    def do(self, operation: Any) -> None:
        """Send one operation to both and compare."""
        if isinstance(operation, Walk):
            self.walk(operation)
        elif isinstance(operation, Rewrite):
            self.rewrite(operation)
        elif isinstance(operation, Resume):
            self.resume(operation)
        elif isinstance(operation, Cut):
            self.cut(operation)
        else:
            self.call(operation, operation.request.SerializeToString())

    def both(self, method: str, ours: bytes, theirs: bytes) -> tuple[Any, Any]:
        """Send a request to both; return the two answers as (code, message, response)."""
        if method.startswith("Put"):
            self.clock.next()
        our_answer = self.ours.call(method, ours)
        try:
            return our_answer, self.reference.call(self.handle, method, theirs)
        except AbsentMethodError:
            return our_answer, self.absent(method, theirs)

    def absent(self, method: str, request: bytes) -> tuple[int, str, bytes]:
        """Return what the reference would answer to an RPC that its binding does not have."""
        if method == "GetLineageGraph":
            return errors.UNIMPLEMENTED, "", b""
        asked = METHODS[method].request.FromString(request)
        if not asked.context_ids:
            return errors.INVALID_ARGUMENT, "context_ids is empty", b""
        one, response = METHODS[method.removesuffix("s")], METHODS[method].response()
        field = "parent_contexts" if "Parent" in method else "children_contexts"
        for context_id in asked.context_ids:
            single = one.request(context_id=context_id).SerializeToString()
            found = one.response.FromString(self.reference.call(self.handle, one.name, single)[2]).contexts
            if found and context_id not in response.contexts:
                getattr(response.contexts[context_id], field).extend(found)
        return errors.OK, "", response.SerializeToString()

    def call(self, call: Call, ours: bytes, theirs: bytes | None = None) -> None:
        """Send a request, to the reference another one if given, and compare the answers."""
        method = call.method
        our_answer, their_answer = self.both(method, ours, ours if theirs is None else theirs)
        what = f"{call!r}\nours: {our_answer[:2]}\ntheirs: {their_answer[:2]}"
        if self.refusals(call, our_answer, their_answer, what):
            return
        response = METHODS[method].response
        mine, other = response.FromString(our_answer[2]), response.FromString(their_answer[2])
        self.payloads(call, mine, other, what)

    def refusals(self, call: Call, ours: Any, theirs: Any, what: str) -> bool:
        """Compare the statuses; return whether there is no payload to compare."""
        method = call.method
        our_code, our_text, _ = ours
        their_code, their_text, _ = theirs
        if their_code == errors.INTERNAL and "UNIQUE constraint failed" in their_text:
            their_code = errors.ALREADY_EXISTS
        composite = method in ("PutExecution", "PutLineageSubgraph")
        if composite and our_code == errors.INVALID_ARGUMENT and " with the given id " in our_text:
            self.parted = their_code == errors.OK
            return True
        filters = _filters(call.request)
        if filters and our_code != their_code and excused(filters, our_code, their_code, their_text):
            return True
        assert our_code == their_code, what
        if our_code == errors.OK:
            return False
        for fragment in FRAGMENTS:
            assert (fragment in our_text) == (fragment in their_text) or "Found un" in their_text, what
        if our_text != their_text:
            _LOG.info("%s says %r, the reference %r", method, our_text, their_text)
        return True

    def payloads(self, call: Call, ours: Any, theirs: Any, what: str) -> None:
        """Compare two responses."""
        options = getattr(call.request, "options", None)
        if isinstance(options, pb.ListOperationOptions) and call.request.HasField("options"):
            self.tokens(options, ours, theirs, what)
        if isinstance(options, pb.ListOperationOptions) and options.order_by_field.field == BY_UPDATE:
            return  # Walked, not compared page by page: `walk`.
        for response in (ours, theirs):
            self.normalise(call, response)
        assert ours == theirs, f"{what}\n--- ours\n{ours}--- theirs\n{theirs}"
        assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True), what

    def normalise(self, call: Call, response: Any) -> None:
        """Make equal what may differ: see NORMALISED."""
        method = call.method
        for field, value in response.ListFields():
            for message in [value] if isinstance(value, Message) or not field.message_type else value:
                if isinstance(message, pb.Artifact | pb.Execution | pb.Context):
                    self.number_times(message, TIMES)
                elif isinstance(message, pb.Event):
                    self.number_times(message, ("milliseconds_since_epoch",))
                elif isinstance(message, pb.ArtifactType | pb.ExecutionType | pb.ContextType):
                    for omitted in _omitted(method):
                        if omitted in message.DESCRIPTOR.fields_by_name:
                            message.ClearField(omitted)
        if method == "GetArtifactsByURI":
            response.artifacts.sort(key=lambda artifact: artifact.uri)
        elif method == "GetLineageSubgraph":
            self.normalise_graph(response.lineage_subgraph)
        elif method.endswith("ContextsByContexts"):
            for context_id in response.contexts:
                for _, contexts in response.contexts[context_id].ListFields():
                    contexts.sort(key=lambda context: context.id)
                    for context in contexts:
                        self.number_times(context, TIMES)

    def normalise_graph(self, graph: Any) -> None:
        for kind in KINDS:
            getattr(graph, f"{kind}s").sort(key=lambda node: node.id)
            for message in getattr(graph, f"{kind}_types"):
                message.ClearField("external_id")
                message.ClearField("base_type")
                if kind == "execution":
                    message.ClearField("input_type")
                    message.ClearField("output_type")
        for links in (graph.attributions, graph.associations):
            links.sort(key=lambda link: link.SerializeToString())
        for event in graph.events:
            self.number_times(event, ("milliseconds_since_epoch",))

    def number_times(self, message: Any, fields: Sequence[str]) -> None:
        for field in fields:
            setattr(message, field, self.clock.number(getattr(message, field)))

    def tokens(self, options: Any, ours: Any, theirs: Any, what: str) -> None:
        """Compare the tokens of two pages, and take them off."""
        assert ours.HasField("next_page_token") == theirs.HasField("next_page_token"), what
        if ours.next_page_token and theirs.next_page_token:
            self.tokens_seen.append((options.order_by_field, ours.next_page_token, theirs.next_page_token))
        if options.order_by_field.field in BY_TIME:
            decoded = [self.token(response.next_page_token) for response in (ours, theirs)]
            assert decoded[0] == decoded[1], what
            ours.ClearField("next_page_token")
            theirs.ClearField("next_page_token")

    def token(self, text: str) -> Any:
        token = pb.ListOperationNextPageToken.FromString(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if token.set_options.order_by_field.field == BY_UPDATE:
            return (
                token.set_options,
                token.HasField("id_offset"),
                bool(token.listed_ids),
                token.HasField("field_offset"),
            )
        self.number_times(token, ("field_offset",))
        return token

    def rewrite(self, rewrite: Rewrite) -> None:
        """Read nodes from each store, edit them the same way and put them back."""
        many = f"{rewrite.kind}s"
        get = f"Get{many.capitalize()}ByID"
        answers = []
        for store in (self.ours, _Theirs(self.reference, self.handle)):
            _, _, response = store.call(
                get, METHODS[get].request(**{f"{rewrite.kind}_ids": rewrite.ids}).SerializeToString()
            )
            found = {node.id: node for node in getattr(METHODS[get].response.FromString(response), many)}
            answers.append(rewrite.request([found[node_id] for node_id in rewrite.ids if node_id in found]))
        ours, theirs = answers
        self.call(ours, ours.request.SerializeToString(), theirs.request.SerializeToString())

    def cut(self, cut: Cut) -> None:
        """Send the first bytes of a request: mostly they are no request at all."""
        method, data = cut.call.method, cut.call.request.SerializeToString()[: cut.size]
        try:
            left = METHODS[method].request.FromString(data)
        except DecodeError:
            if method not in ABSENT:
                ours, theirs = self.both(method, data, data)
                assert ours[:2] == theirs[:2] == (errors.INVALID_ARGUMENT, "Could not parse proto"), repr(cut)
        else:
            self.call(Call(method, left), data)

    def resume(self, resume: Resume) -> None:
        """Go on from a page seen before, perhaps with another method, size, filter or order."""
        if not self.tokens_seen:
            return
        order, *tokens = self.tokens_seen[resume.page % len(self.tokens_seen)]
        requests = []
        for token in tokens:
            request = type(resume.request)()
            request.CopyFrom(resume.request)
            request.options.next_page_token = token
            if resume.same_order:
                request.options.order_by_field.CopyFrom(order)
            requests.append(request)
        ours, theirs = requests
        self.call(Call(resume.method, ours), ours.SerializeToString(), theirs.SerializeToString())

    def walk(self, walk: Walk) -> None:
        """Follow a listing to its end in both, each by its own tokens."""
        requests = [walk.request, type(walk.request)()]
        requests[1].CopyFrom(walk.request)
        response_class = METHODS[walk.method].response
        by_update = walk.request.options.order_by_field.field == BY_UPDATE
        lists: list[list[Any]] = [[], []]
        for _ in range(PAGES_MAX):
            ours, theirs = (request.SerializeToString() for request in requests)
            call = Call(walk.method, requests[0])
            our_answer, their_answer = self.both(walk.method, ours, theirs)
            if self.refusals(call, our_answer, their_answer, repr(call)):
                return
            responses = [response_class.FromString(answer[2]) for answer in (our_answer, their_answer)]
            tokens = [response.next_page_token for response in responses]
            if not by_update:
                self.payloads(call, *responses, repr(call))
            for found, response in zip(lists, responses, strict=True):
                found += next((value for _, value in response.ListFields() if not isinstance(value, str)), [])
            if by_update and _repeats(lists[1]):
                break
            if not all(tokens):
                assert not any(tokens), repr(call)
                break
            for request, token in zip(requests, tokens, strict=True):
                request.options.next_page_token = token
        if by_update:
            self.same_by_update(lists, walk)

    def same_by_update(self, lists: list[list[Any]], walk: Walk) -> None:
        """Compare what two walks by update time listed: requests in order, and within each request the same nodes."""
        ascending = walk.request.options.order_by_field.is_asc
        ours, theirs = lists
        assert not _repeats(ours), repr(walk)
        keys = [(node.last_update_time_since_epoch, node.id) for node in ours]
        assert keys == sorted(keys, reverse=not ascending), repr(walk)
        numbered = [
            sorted((self.clock.number(node.last_update_time_since_epoch), node.id) for node in found)
            for found in (ours, theirs)
        ]
        if _repeats(theirs):
            assert set(numbered[1]) <= set(numbered[0]), repr(walk)
        else:
            assert numbered[0] == numbered[1], repr(walk)


class _Theirs:
    """One store of the reference."""

    def __init__(self, reference: Reference, handle: int) -> None:
        self.reference, self.handle = reference, handle

    def call(self, method: str, request: bytes) -> tuple[int, str, bytes]:
        return self.reference.call(self.handle, method, request)


def _omitted(method: str) -> tuple[str, ...]:
    if method in {f"Get{kind.capitalize()}Types" for kind in KINDS}:
        return ("external_id",)
    if method.endswith("TypesByExternalIds"):
        return ("base_type", "input_type", "output_type")
    return ("base_type",) if method == "GetArtifactsByID" else ()


def _repeats(found: Sequence[Any]) -> bool:
    return len({node.id for node in found}) < len(found)


def _filters(request: Any) -> str:
    """Return the filters in a request."""
    below = [value for field, value in request.ListFields() if field.message_type and isinstance(value, Message)]
    own = request.filter_query if "filter_query" in request.DESCRIPTOR.fields_by_name else ""
    return "\n".join(filter(None, [own, *map(_filters, below)]))


_PUTS: Final = puts(SAFE)
_READS: Final = reads(SAFE, batched=True)
_ASKS: Final = asks()
_CALLS: Final = st.one_of(_PUTS, _READS, _ASKS).filter(lambda operation: isinstance(operation, Call))
# Not one_of, which would weigh each by the number of its branches.
_OPERATION: Final = st.sampled_from(
    [webs(), *[_PUTS] * 5, *[_READS] * 4, *[_ASKS] * 4, bridges(), odd_bytes(_CALLS), cuts(_CALLS)]
).flatmap(lambda operations: operations)
OPERATIONS: Final = st.lists(_OPERATION, min_size=16, max_size=50)


def compare(reference: Reference, ours: RawStore | ServedStore, operations: Sequence[Any]) -> None:
    """Do all operations on two new stores, and read everything at the end."""
    pair = Pair(reference, ours)
    try:
        for operation in operations:
            note(repr(operation))
            pair.do(operation)
            if pair.parted:
                return
        for call in everything():
            pair.do(call)
    finally:
        pair.close()


EXAMPLES: Final = {"deep": 2_000, "ci": 100, "again": 15}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 50)
SETTINGS: Final = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SETTINGS
@given(operations=OPERATIONS)
def test_any_sequence_of_requests_gets_the_same_answers_from_both(reference, operations):
    compare(reference, RawStore(), operations)


@settings(SETTINGS, max_examples=max(EXAMPLES // 5, 10))
@given(operations=OPERATIONS)
def test_any_sequence_of_requests_to_a_server_gets_the_same_answers(reference, operations):
    compare(reference, ServedStore(), operations)
