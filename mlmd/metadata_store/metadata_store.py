"""MLMD's own place for its store: the module."""

from __future__ import annotations

from mlmd.store import MAX_NUM_RESULT, ExtraOptions, ListOptions, MetadataStore, OrderByField, downgrade_schema

__all__ = ["MAX_NUM_RESULT", "ExtraOptions", "ListOptions", "MetadataStore", "OrderByField", "downgrade_schema"]
