"""The analytics view: every version of everything in one DuckDB file, for SQL. Needs the extra `analytics`."""

from __future__ import annotations

from projections.errors import MissingLibraryError

try:
    import duckdb as _duckdb  # noqa: F401 - so that whoever lacks it is told what to install, whatever is imported first
except ImportError as error:
    raise MissingLibraryError("duckdb", extra="analytics") from error
