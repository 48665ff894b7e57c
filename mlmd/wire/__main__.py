"""`python -m mlmd.wire`: compile the .proto files again, to the descriptors and type stubs kept in the project.

protoc comes with grpcio-tools. The stubs also need mypy-protobuf, which turns the comments of the .proto files into
docstrings; without it the stubs stay as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from google.protobuf import descriptor_pb2

from mlmd.wire import FILES

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE: Final = Path(__file__).parent
# Each message narrows the type of Message.DESCRIPTOR; pyright objects, since a variable might be assigned to.
STUB_HEAD: Final = """\
# Made by `python -m mlmd.wire`, never edited.
# pyright: reportIncompatibleVariableOverride=false
"""


def descriptors() -> dict[str, bytes]:
    """Compile the .proto files; return stem -> FileDescriptorProto, as protoc embeds it in a Python module.

    Raises CalledProcessError, after protoc has said why, if it refuses a file or is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "files.binpb")
        _protoc(f"--descriptor_set_out={path}")
        compiled = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
    by_name = {file.name: file for file in compiled.file}
    return {stem: _as_embedded(by_name[name]) for stem, name in FILES.items()}


def stubs(plugin: str) -> dict[Path, str]:
    """Return path -> text of the type stub beside each `_pb2` module; `plugin` is the path of protoc-gen-mypy."""
    with tempfile.TemporaryDirectory() as folder:
        _protoc(f"--plugin=protoc-gen-mypy={plugin}", f"--mypy_out=quiet:{folder}")
        texts = {name: Path(folder, _stub_name(name)).read_text() for name in FILES.values()}
    # Our modules lie where the contract's lie, but under another top package.
    return {HERE.parent / _stub_name(name).removeprefix("ml_metadata/"): _as_ours(text) for name, text in texts.items()}


def _as_ours(stub: str) -> str:
    # The noqa comments are for a linter we do not run, and ours rejects them.
    return STUB_HEAD + stub.replace("\nfrom ml_metadata.", "\nfrom mlmd.").replace("  # noqa: Y015", "")


def _stub_name(name: str) -> str:
    return name.removesuffix(".proto") + "_pb2.pyi"


def _protoc(*options: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}", *options, *FILES.values()]
    subprocess.run(command, check=True)  # noqa: S603 - no part of it comes from outside


def _as_embedded(file: descriptor_pb2.FileDescriptorProto) -> bytes:
    """Serialize `file` without JSON names: protoc adds them to descriptor sets, but not to Python modules."""
    _drop_json_names(file.extension, file.message_type)
    return file.SerializeToString(deterministic=True)


def _drop_json_names(
    fields: Iterable[descriptor_pb2.FieldDescriptorProto],
    messages: Iterable[descriptor_pb2.DescriptorProto],
) -> None:
    for field in fields:
        field.ClearField("json_name")
    for message in messages:
        _drop_json_names([*message.field, *message.extension], message.nested_type)


def main() -> int:
    """Write all outputs; return 0, or 1 if the stubs could not be made."""
    for stem, data in descriptors().items():
        (HERE / f"{stem}.binpb").write_bytes(data)
    # The interpreter's own folder comes first: a virtual environment need not be activated.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    plugin = shutil.which("protoc-gen-mypy", path=search)
    if plugin is None:
        sys.stderr.write("descriptors written; stubs kept as they are: install mypy-protobuf to renew them\n")
        return 1
    for path, text in stubs(plugin).items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
