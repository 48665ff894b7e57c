"""The messages of `mlmd.simple_types.proto`."""
