"""A store whose history somebody has changed, as one who knows the format would: to see that it is noticed. Of copies alone.

One character of a record is another, and both checksums of its frame are made right again. What cannot be made right is the commitment to
the record in the one that follows, short of writing all that follow anew; and of those a checkpoint kept elsewhere speaks.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from evlog import frame, segment
from evlog.log import Log
from mlmd.opening import LOG_FOLDER

if TYPE_CHECKING:
    from pathlib import Path


class Tampered(NamedTuple):
    """What was changed. position: of the byte in the file."""

    offset: int
    file: Path
    position: int
    old: str
    new: str


def tampered_copy(place: Path, copy: Path, text: str) -> Tampered | None:
    """Copy a store, and change the last character of a text in the first record that holds it; None where none does.

    copy: a folder that is not there yet. text: ends in an ASCII digit or letter. A store that is compressed is not changed.
    """
    shutil.copytree(place, copy, symlinks=True)
    wanted = text.encode()
    with closing(Log.open(copy / LOG_FOLDER, writable=False)) as log:
        found = next((one for one in log.frames(0, log.end) if wanted in one.body), None)
        if found is None:
            return None
        base = max(one for one in segment.bases(log.folder) if one <= found.offset)
        seed = log.seed
    at = found.body.index(wanted) + len(wanted) - 1
    old = chr(found.body[at])
    new = chr(ord(old) ^ 1)
    body = found.body[:at] + new.encode() + found.body[at + 1 :]
    again = frame.repack(found, body, seed=seed)
    file = copy / LOG_FOLDER / segment.name_of(base)
    data = bytearray(file.read_bytes())
    data[found.position : found.position + len(again)] = again
    file.write_bytes(data)
    return Tampered(found.offset, file, found.position + frame.HEADER.size + at, text, text[:-1] + new)
