"""What refusals say where callers match on it: the words are MLMD's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from mlmd import errors
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from mlmd import MetadataStore


def test_a_property_of_another_type_is_told_before_one_that_may_not_be_added(store: MetadataStore) -> None:
    store.put_artifact_type(pb.ArtifactType(name="T", properties={"z": pb.INT}))
    with pytest.raises(errors.AlreadyExistsError, match=r"Conflicting property value type .*: z$"):
        store.put_artifact_type(pb.ArtifactType(name="T", properties={"a": pb.INT, "z": pb.STRING}))


def test_ids_of_nothing_are_told_among_those_asked_for_and_those_found(store: MetadataStore) -> None:
    type_id = store.put_execution_type(pb.ExecutionType(name="E"))
    executions = [pb.Execution(type_id=type_id), pb.Execution(type_id=99)]
    some = re.escape(f"Results missing for ids: {{{type_id},99}}. Found results for {{{type_id}}}")
    with pytest.raises(errors.NotFoundError, match=some):
        store.put_lineage_subgraph(executions, [], [], [])
    none = re.escape("Results missing for ids: {99}. Found results for {}")
    with pytest.raises(errors.NotFoundError, match=none):
        store.put_execution(executions[0], [], [pb.Context(id=99)], force_reuse_context=True)
