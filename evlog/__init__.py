"""The log: append, read by offset, recover. Knows no view, no query and no ML Metadata."""
