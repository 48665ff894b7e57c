"""The analytics view: every version of everything in one DuckDB file, for SQL. Needs the extra `analytics`."""

from __future__ import annotations

from projections.errors import MissingLibraryError

try:  # So that whoever lacks one is told what to install, whatever is imported first.
    import duckdb as _duckdb  # noqa: F401
    import nanoarrow as _nanoarrow  # noqa: F401
except ImportError as error:
    raise MissingLibraryError(error.name or "duckdb", extra="analytics") from error
