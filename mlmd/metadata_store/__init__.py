"""MLMD's own place for its store."""

from __future__ import annotations

from mlmd.metadata_store import metadata_store as metadata_store
from mlmd.store import ListOptions, MetadataStore, OrderByField, downgrade_schema

__all__ = ["ListOptions", "MetadataStore", "OrderByField", "downgrade_schema"]
