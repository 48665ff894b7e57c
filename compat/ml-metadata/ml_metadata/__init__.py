"""ML Metadata's import package, answered by evlog: every module here hands out the names of its namesake in `mlmd`.

The classes are the same objects under both names, so messages, errors and stores pass between code that says `ml_metadata`
and code that says `mlmd`. What ML Metadata imports with its top package is imported here too: much code relies on
`import ml_metadata as mlmd` being enough to say `mlmd.errors` and `mlmd.proto`.
"""

from __future__ import annotations

from ml_metadata import errors as errors
from ml_metadata import metadata_store as metadata_store
from ml_metadata import proto as proto
from ml_metadata.version import __version__ as __version__
from mlmd import ListOptions, MetadataStore, OrderByField, downgrade_schema

__all__ = ["ListOptions", "MetadataStore", "OrderByField", "downgrade_schema"]
