"""Runs recorded in a few lines, and what can be asked of them: on ML Metadata's own messages and methods, in process or of a server."""
