"""List options: page size, order, filter and token, in the published format.

A token is a ListOperationNextPageToken, web-safe base64 without padding. It names the last node of its page by order value and
id, so paging neither loops nor skips, whatever is put meanwhile.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from google.protobuf.message import DecodeError

from mlmd import errors
from mlmd.convert import text
from mlmd.filters.query import filter_query
from mlmd.proto import metadata_store_pb2 as pb
from projections.query import After, Listed, Listing, OrderBy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE_MAX: Final = 100
_INT32_MAX: Final = 2**31 - 1
_FIELDS: Final = {
    pb.ListOperationOptions.OrderByField.ID: OrderBy.ID,
    pb.ListOperationOptions.OrderByField.CREATE_TIME: OrderBy.CREATE_TIME,
    pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME: OrderBy.UPDATE_TIME,
}
_BLANK: Final = re.compile(r"[ \t\n\v\f\r]+")
_WEB_SAFE: Final = re.compile(r"([A-Za-z0-9_-]*)([=.]{0,2})")


class Page(NamedTuple):
    """Bodies, and the token of the next page, None on the last one."""

    bodies: list[bytes]
    token: str | None


def page(candidates: Listing, options: pb.ListOperationOptions, find: Callable[[Listing], list[Listed]]) -> Page:
    """Return the page that the options ask for. Raises InvalidArgumentError, in MLMD's order of checks."""
    size = _size(options)
    wanted = filter_query(candidates.kind, options.filter_query) if options.filter_query else None
    after = _after(options)
    order_by = _FIELDS.get(options.order_by_field.field)
    if order_by is None:
        raise errors.InvalidArgumentError(
            "Unsupported field: FIELD_UNSPECIFIED specified in ListOperationOptions; use ID, CREATE_TIME or LAST_UPDATE_TIME"
        )
    listing = candidates._replace(
        order_by=order_by, ascending=options.order_by_field.is_asc, after=after, limit=size + 1, filter=wanted
    )
    found = find(listing)
    shown = found[:size]
    return Page([listed.body for listed in shown], _token(options, order_by, shown) if len(found) > size else None)


def _size(options: pb.ListOperationOptions) -> int:
    size = options.max_result_size
    if size <= 0 or size == _INT32_MAX:
        raise errors.InvalidArgumentError(
            "max_result_size field value is required to be greater than 0 and less than or equal to 100."
            f" Set value:{size}"
        )
    return min(size, PAGE_MAX)


def _token(options: pb.ListOperationOptions, order_by: OrderBy, shown: Sequence[Listed]) -> str:
    last = shown[-1]
    token = pb.ListOperationNextPageToken(field_offset=last.value)
    token.set_options.CopyFrom(options)
    token.set_options.ClearField("next_page_token")
    if order_by is OrderBy.UPDATE_TIME:
        token.listed_ids.extend(listed.id for listed in reversed(shown) if listed.value == last.value)
    else:
        token.id_offset = last.id
    return base64.urlsafe_b64encode(token.SerializeToString(deterministic=True)).rstrip(b"=").decode()


def _after(options: pb.ListOperationOptions) -> After | None:
    """Return where the page before ended. Raises InvalidArgumentError for a token that is none, or of another order."""
    if not options.next_page_token:
        return None
    token = _decoded(text(options.next_page_token))
    current, initial = options.order_by_field, token.set_options.order_by_field
    if (current.field, current.is_asc) != (initial.field, initial.is_asc):
        raise errors.InvalidArgumentError(
            "ListOperationOptions mismatch between calls: a page token is good for the order it was made for only."
            f" Initial Options: {initial} Current Options: {current}"
        )
    if current.field == pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME:
        if not token.listed_ids:
            raise errors.InvalidArgumentError(
                "Invalid NextPageToken in List Operation. listed_ids field should not be empty."
            )
        return After(token.field_offset, token.listed_ids[0])
    if current.field == pb.ListOperationOptions.OrderByField.ID:
        return After(token.field_offset, token.field_offset)  # As in MLMD, which looks at this field alone.
    return After(token.field_offset, token.id_offset)


def _decoded(token: str) -> pb.ListOperationNextPageToken:
    token = "".join(_BLANK.split(token))
    match = _WEB_SAFE.fullmatch(token)
    if match is None or (match[2] and len(token) % 4):
        raise errors.InvalidArgumentError("Failed to decode next page token string")
    try:
        data = base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
    except binascii.Error:
        raise errors.InvalidArgumentError("Failed to decode next page token string") from None
    try:
        return pb.ListOperationNextPageToken.FromString(data)
    except DecodeError:
        raise errors.InvalidArgumentError(
            "Failed to parse decoded next page token into ListOperationNextPageToken proto message"
        ) from None
