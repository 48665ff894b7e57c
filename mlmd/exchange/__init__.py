"""In from a database of ML Metadata, and back out to one."""
