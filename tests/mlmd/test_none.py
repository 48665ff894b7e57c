"""None in place of an argument: a TypeError where MLMD's client raises one, and never an answer about something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlmd import MetadataStore

KINDS = ("artifact", "execution", "context")
REFUSED = [
    *((f"get_{kind}_type", (None,)) for kind in KINDS),
    *((f"get_{kind}_type", (None, "1")) for kind in KINDS),
    *((f"get_{kind}_types_by_id", (None,)) for kind in KINDS),
    *((f"get_{kind}s_by_id", (None,)) for kind in KINDS),
    *((f"get_{kind}s_by_type", (None,)) for kind in KINDS),
    *((f"get_{kind}_by_type_and_name", ("T", None)) for kind in KINDS),
    *((f"get_{kind}_by_type_and_name", (None, "a")) for kind in KINDS),
    *((f"put_{kind}s", (None,)) for kind in KINDS),
    *((f"get_events_by_{kind}_ids", (None,)) for kind in KINDS[:2]),
    *((f"get_contexts_by_{kind}", (None,)) for kind in KINDS[:2]),
    *((f"get_{kind}s_by_context", (None,)) for kind in KINDS[:2]),
    ("get_parent_contexts_by_context", (None,)),
    ("get_children_contexts_by_context", (None,)),
    ("get_artifacts_by_uri", (None,)),
    ("put_events", (None,)),
    ("put_parent_contexts", (None,)),
    ("put_attributions_and_associations", (None, [])),
    ("put_attributions_and_associations", ([], None)),
]
EMPTY = [
    *((f"get_{kind}_types_by_external_ids", (None,), []) for kind in KINDS),
    *((f"get_{kind}s_by_external_ids", (None,), []) for kind in KINDS),
    ("get_artifacts_and_types_by_artifact_ids", (None,), ([], [])),
]


@pytest.mark.parametrize(("method", "arguments"), REFUSED)
def test_none_is_a_type_error(store: MetadataStore, method: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        getattr(store, method)(*arguments)


@pytest.mark.parametrize(("method", "arguments", "answer"), EMPTY)
def test_none_is_an_empty_list_where_mlmd_takes_it_for_one(
    store: MetadataStore, method: str, arguments: tuple[object, ...], answer: object
) -> None:
    assert getattr(store, method)(*arguments) == answer
