"""Which record is the first that is not the one that was promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import published

from evlog.files import RealFolder
from evlog.tlog.committed import Other, Published, first_other
from evlog.tlog.shelf import FolderShelf, MemoryShelf

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_other_record_is_named_with_its_place(tmp_path: Path) -> None:
    one, other = published.Published(tmp_path / "one"), published.Published(tmp_path / "other")
    one.fill(300)
    signed = one.publish()
    told = Published(FolderShelf(one.tlog), [signed.checkpoint])
    assert first_other(RealFolder(one.place / "log"), one.log.seed, told) is None
    other.fill(300)  # At other times, so it is another log from its first record on.
    found = first_other(RealFolder(other.place / "log"), other.log.seed, told)
    assert found == Other(0, 0, other.log.frame(0).position)
    one.close()
    other.close()


def test_where_no_sound_tile_tells_nothing_is_said(tmp_path: Path) -> None:
    one = published.Published(tmp_path / "one")
    one.fill(3)
    signed = one.publish()
    nothing = Published(MemoryShelf(), [signed.checkpoint])
    assert nothing.tiled == 0
    assert first_other(RealFolder(one.place / "log"), one.log.seed, nothing) is None
    damaged = Published(FolderShelf(one.tlog), [signed.checkpoint])
    one.close()
    (one.place / "log" / "00000000000000000000.seg").write_bytes(b"")
    assert first_other(RealFolder(one.place / "log"), one.log.seed, damaged) is None
