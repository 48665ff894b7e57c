"""The message SimpleTypes, in `simple_types_pb2`."""
