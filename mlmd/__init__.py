"""What `import ml_metadata as mlmd` offers, over an append-only log: MetadataStore, its options, its errors and messages."""

from __future__ import annotations

from typing import Final

from mlmd import errors as errors
from mlmd import proto as proto
from mlmd.store import ListOptions, MetadataStore, OrderByField, downgrade_schema

__version__: Final = "0.1.0"
__all__ = ["ListOptions", "MetadataStore", "OrderByField", "downgrade_schema"]

