"""The analytics view: every version of everything in one DuckDB file, for SQL. Needs the extra `analytics`."""
