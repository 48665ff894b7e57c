"""ML Metadata's wire contract: importing this package loads it into protobuf's default descriptor pool.

| in this folder             | what it is                                                              |
| ml_metadata/**/*.proto     | the contract, commented; the paths are names on the wire                |
| *.binpb                    | one FileDescriptorProto each, made by `python -m mlmd.wire`, not edited |

The descriptors are byte-identical to those of ml-metadata 1.17.1. A pool takes the same file twice but never two
different files of one name, so this is what lets both packages live in one process, with the same classes.

No generated Python is kept: generated modules refuse runtimes older than the protoc they came from, while a
descriptor loads in every protobuf from 4.25 on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    symbol_database,
)
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

__all__ = ["FILES", "fill"]

# Our files import these, so they have to be in the pool first: importing the modules has put them there.
_NEEDED_FIRST: Final = (any_pb2, descriptor_pb2, field_mask_pb2, struct_pb2)

# Name of the descriptor here -> name of the .proto file in the contract. A file comes after those it imports.
FILES: Final = {
    "metadata_store": "ml_metadata/proto/metadata_store.proto",
    "metadata_store_service": "ml_metadata/proto/metadata_store_service.proto",
    "simple_types": "ml_metadata/simple_types/proto/simple_types.proto",
}

_POOL: Final = descriptor_pool.Default()

for _stem in FILES:
    # Raises TypeError if another version of ml-metadata came first, with other messages under the same names.
    _POOL.AddSerializedFile(Path(__file__).with_name(f"{_stem}.binpb").read_bytes())


def fill(namespace: dict[str, object], file_name: str) -> None:
    """Put into a module's `namespace` what protoc would generate for `file_name`, one of the values of FILES.

    That is DESCRIPTOR, message classes, enums, the values of top-level enums, extensions and their numbers.
    `namespace` must hold the module's `__name__`, as `globals()` does.
    """
    file = _POOL.FindFileByName(file_name)
    namespace["DESCRIPTOR"] = file
    for name, enum in file.enum_types_by_name.items():
        namespace[name] = EnumTypeWrapper(enum)
        namespace.update((value.name, value.number) for value in enum.values)
    for name, extension in file.extensions_by_name.items():
        namespace[name] = extension
        namespace[f"{name.upper()}_FIELD_NUMBER"] = extension.number
    for name, message in file.message_types_by_name.items():
        namespace[name] = _message_class(message, module=str(namespace["__name__"]), qualname=name)


def _message_class(descriptor: Descriptor, *, module: str, qualname: str) -> type[Message]:
    """Return the class of a message, with the classes nested in it as attributes."""
    cls = message_factory.GetMessageClass(descriptor)
    # Pickle finds a class by these two names, and a nested one in the database; the factory sees to neither.
    cls.__module__, cls.__qualname__ = module, qualname
    symbol_database.Default().RegisterMessage(cls)
    for name, nested in descriptor.nested_types_by_name.items():
        # protobuf in C finds nested classes by itself, protobuf in pure Python does not.
        setattr(cls, name, _message_class(nested, module=module, qualname=f"{qualname}.{name}"))
    return cls
