"""A disk that crashes: the second implementation of `evlog.files.Folder`, for the tests.

Model, for one file: durable bytes and what was written since the last sync, split into 512-byte sectors. A power cut keeps
none, all, a prefix or any subset of those sectors, and may extend the size with zeros or garbage. For the folder: names
made or changed since the last `sync_names` appear or not. A failed sync forgets what was dirty (ext4 marks the pages clean),
so that the next sync succeeds and saves nothing of it. A process that dies leaves what the page cache holds, and its locks free.

Every call that changes something is one step; `Fault(at=n)` strikes at the n-th.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from evlog.errors import StorageError, storage_error

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

SECTOR = 512

Strike = Literal[
    "cut before",
    "cut after",
    "error before",
    "error after",
    "short write",
    "death before",
    "death after",
    "death amid",
]


class PowerCutError(BaseException):
    """The machine stopped here. Not an Exception: no code may catch it and go on."""


class DeathError(BaseException):
    """The process stopped here, killed; the machine and other processes go on."""


@dataclass
class Fault:
    """What happens at one step. `number` is the errno of an error."""

    at: int
    strike: Strike
    number: int = errno.EIO


@dataclass
class Write:
    """Bytes that are in the page cache and not yet on the disk; `data is None` cuts the file to `position`."""

    position: int
    data: bytes | None


@dataclass
class Inode:
    """One file's bytes: as a reader sees them, as the disk holds them, and the difference."""

    cached: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: list[Write] = field(default_factory=list)


def put(data: bytearray, position: int, new: bytes) -> None:
    """Write `new` into `data` as a file system would, zeros before it."""
    if position > len(data):
        data.extend(bytes(position - len(data)))
    data[position : position + len(new)] = new


def apply(data: bytearray, write: Write) -> None:
    """Do one write, or one cut, on bytes."""
    if write.data is None:
        del data[write.position :]
    else:
        put(data, write.position, write.data)


class SimulatedFile:
    """See File."""

    def __init__(self, disk: SimulatedDisk, inode: Inode, name: str, *, writable: bool) -> None:
        self._disk, self._inode, self.name, self._writable = disk, inode, name, writable

    def read(self, size: int, position: int) -> bytes:
        return bytes(self._inode.cached[position : position + size])

    def size(self) -> int:
        if self._writable and all(inode is not self._inode for inode in self._disk.inodes.values()):
            raise storage_error("the file was removed while it was open", self.name, OSError(errno.ENOENT, "gone"))
        return len(self._inode.cached)

    def forget(self) -> None:
        pass

    def write(self, data: bytes, position: int) -> None:
        assert self._writable, f"{self.name} is written, and was opened to be read"

        def effect(data: bytes = data) -> None:
            put(self._inode.cached, position, data)
            self._inode.dirty.append(Write(position, data))

        grows = position + len(data) - len(self._inode.cached)
        try:
            self._disk.grow(self.name, max(0, grows))
        except StorageError:
            effect(data[: len(data) - grows + self._disk.room()])  # As much as there is room for.
            raise
        self._disk.step("write failed", self.name, effect, short=lambda: effect(data[: len(data) // 2]))

    def sync(self) -> None:
        def effect() -> None:
            for write in self._inode.dirty:
                apply(self._inode.durable, write)
            self._inode.dirty.clear()

        self._disk.step("sync failed", self.name, effect, failed=self._inode.dirty.clear)

    def truncate(self, size: int) -> None:
        def effect() -> None:
            del self._inode.cached[size:]
            self._inode.dirty.append(Write(size, None))

        self._disk.step("truncate failed", self.name, effect)

    def close(self) -> None:
        pass


class SimulatedLock:
    """Processes take turns here, so nobody ever waits: a lock that is taken was left taken by mistake."""

    def __init__(self, disk: SimulatedDisk | SimulatedFolder, name: str) -> None:
        self._disk, self._name = disk, name

    def acquire(self) -> None:
        assert self._name not in self._disk.holders, "the lock was never given back"
        self._disk.holders[self._name] = self

    def try_acquire(self) -> bool:
        self.acquire()
        return True

    def release(self) -> None:
        assert self._disk.holders.pop(self._name, self) is self, "the lock belongs to another"

    def close(self) -> None:
        assert self._disk.holders.get(self._name) is not self, "the lock is closed while it is held"


class SimulatedDisk:
    """See Folder."""

    def __init__(self, fault: Fault | None = None, capacity: int | None = None) -> None:
        self.fault = fault
        self.capacity = capacity  # Bytes that all files may have together; None for no limit.
        self.steps = 0
        self.holders: dict[str, SimulatedLock] = {}  # By the name of the lock.
        self.inodes: dict[str, Inode] = {}
        self.durable_names: dict[str, Inode] = {}
        self._renames: list[Callable[[dict[str, Inode]], object]] = []

    # Folder ---------------------------------------------------------------------------------------------------------

    def names(self, subfolder: str = "") -> list[str]:
        start = f"{subfolder}/" if subfolder else ""
        rests = [name.removeprefix(start) for name in self.inodes if name.startswith(start)]
        return sorted(rest for rest in rests if "/" not in rest)

    def open(self, name: str, *, writable: bool = False) -> SimulatedFile:
        if name not in self.inodes:
            raise FileNotFoundError(name)
        return SimulatedFile(self, self.inodes[name], name, writable=writable)

    def create(self, name: str) -> SimulatedFile:
        inode = Inode()

        def effect() -> None:
            self._name(lambda names: names.__setitem__(name, inode))

        self.step("create failed", name, effect)
        return SimulatedFile(self, self.inodes[name], name, writable=True)

    def rename(self, old: str, new: str) -> None:
        def move(names: dict[str, Inode]) -> None:
            if old in names:  # The creation of `old` may have been forgotten.
                names[new] = names.pop(old)

        self.step("rename failed", old, lambda: self._name(move))

    def remove(self, name: str) -> None:
        if name not in self.inodes:
            raise FileNotFoundError(name)
        self.step("remove failed", name, lambda: self._name(lambda names: names.pop(name, None)))

    def protect(self, name: str) -> None:
        assert name in self.inodes, f"{name} is not there"
        self.step("cannot make read-only", name, lambda: None)

    def beside(self, name: str, *, create: bool = False) -> SimulatedFolder:
        return SimulatedFolder(self, f"{name}/")

    def sync_names(self) -> None:
        def effect() -> None:
            self.durable_names = dict(self.inodes)
            self._renames.clear()

        self.step("sync failed", ".", effect, failed=self._renames.clear)

    def used(self) -> int:
        return sum(len(inode.cached) for inode in self.inodes.values())

    def room(self) -> int:
        return max(0, self.capacity - self.used()) if self.capacity is not None else 0

    def reserve(self, name: str, size: int) -> None:
        self.create(name)
        self.grow(name, size)
        put(self.inodes[name].cached, size - 1, b"\0")

    def grow(self, name: str, size: int) -> None:
        """Raise the error of a full disk if so many bytes more are too many."""
        if self.capacity is not None and size > self.room():
            raise storage_error("write failed", name, OSError(errno.ENOSPC, "no room"))

    def lock(self, name: str) -> SimulatedLock:
        return SimulatedLock(self, name)

    def describe(self, name: str) -> str:
        return name

    # Faults ---------------------------------------------------------------------------------------------------------

    def step(
        self,
        what: str,
        name: str,
        effect: Callable[[], None],
        *,
        failed: Callable[[], object] | None = None,
        short: Callable[[], None] | None = None,
    ) -> None:
        """Do one step, or what the fault makes of it."""
        self.steps += 1
        if self.fault is None or self.steps != self.fault.at:
            effect()
            return
        strike = self.fault.strike
        if strike in ("short write", "death amid"):
            (short or effect)()
        elif strike.endswith("after"):
            effect()
        if strike.startswith("cut"):
            raise PowerCutError
        if strike.startswith("death"):
            raise DeathError
        if failed is not None:
            failed()
        raise storage_error(what, name, OSError(self.fault.number, "injected"))

    def restart(self) -> None:
        """The process that the fault struck is gone; the machine, and other processes, are not."""
        self.fault = None
        self.holders = {}

    def cut(self, rng: random.Random) -> SimulatedDisk:
        """Return a disk as the machine may find it after a power cut now."""
        after = SimulatedDisk(capacity=self.capacity)
        names = dict(self.durable_names)
        for keep in _kept(len(self._renames), rng):
            self._renames[keep](names)
        copies: dict[int, Inode] = {}
        for name, inode in names.items():
            if id(inode) not in copies:
                data = _after_cut(inode, rng)
                copies[id(inode)] = Inode(cached=bytearray(data), durable=data)
            after.inodes[name] = copies[id(inode)]
        after.durable_names = dict(after.inodes)
        return after

    def _name(self, change: Callable[[dict[str, Inode]], object]) -> None:
        change(self.inodes)
        self._renames.append(change)


class SimulatedFolder:
    """Another folder of the same disk: what is done there is a step of its one life."""

    def __init__(self, disk: SimulatedDisk, prefix: str) -> None:
        self._disk, self._prefix = disk, prefix
        self.holders: dict[str, SimulatedLock] = {}  # By the name of the lock.

    def names(self, subfolder: str = "") -> list[str]:
        return self._disk.names(f"{self._prefix}{subfolder}".rstrip("/"))

    def open(self, name: str, *, writable: bool = False) -> SimulatedFile:
        return self._disk.open(self._prefix + name, writable=writable)

    def create(self, name: str) -> SimulatedFile:
        return self._disk.create(self._prefix + name)

    def rename(self, old: str, new: str) -> None:
        self._disk.rename(self._prefix + old, self._prefix + new)

    def remove(self, name: str) -> None:
        self._disk.remove(self._prefix + name)

    def sync_names(self) -> None:
        self._disk.sync_names()

    def lock(self, name: str) -> SimulatedLock:
        return SimulatedLock(self, name)

    def beside(self, name: str, *, create: bool = False) -> SimulatedFolder:
        return SimulatedFolder(self._disk, f"{name}/")

    def describe(self, name: str) -> str:
        return self._prefix + name


def _kept(count: int, rng: random.Random) -> list[int]:
    """Return which of `count` unsynced things survived: all, none, a prefix, or any subset, in order."""
    way = rng.randrange(4)
    if way == 0:
        return list(range(count))
    if way == 1:
        return []
    if way == 2:
        return list(range(rng.randint(0, count)))
    return [number for number in range(count) if rng.random() < 0.5]


def _after_cut(inode: Inode, rng: random.Random) -> bytearray:
    data = bytearray(inode.durable)
    sectors: list[Write] = []
    for write in inode.dirty:
        if write.data is None:
            sectors.append(write)
            continue
        done = 0
        while done < len(write.data):
            at = write.position + done
            size = min(SECTOR - at % SECTOR, len(write.data) - done)
            sectors.append(Write(at, write.data[done : done + size]))
            done += size
    size = len(data)
    for number in _kept(len(sectors), rng):
        apply(data, sectors[number])
    size = max([size, *(write.position + len(write.data) for write in sectors if write.data is not None)])
    if size > len(data) and rng.random() < 0.3:
        missing = rng.randint(1, size - len(data))
        data.extend(rng.randbytes(missing) if rng.random() < 0.5 else bytes(missing))
    return data
