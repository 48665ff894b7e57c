"""A folder without a disk, for stores that live as long as their process."""

from __future__ import annotations

import threading


class MemoryFile:
    """A file held in memory; `sync` has nothing to do."""

    def __init__(self, data: bytearray, name: str) -> None:
        self.data, self.name = data, name

    def read(self, size: int, position: int) -> bytes:
        """See File."""
        return bytes(self.data[position : position + size])

    def write(self, data: bytes, position: int) -> None:
        """See File."""
        if position > len(self.data):
            self.data.extend(bytes(position - len(self.data)))
        self.data[position : position + len(data)] = data

    def sync(self) -> None:
        """See File."""

    def size(self) -> int:
        """See File."""
        return len(self.data)

    def forget(self) -> None:
        """See File."""

    def truncate(self, size: int) -> None:
        """See File."""
        del self.data[size:]

    def close(self) -> None:
        """See File."""


class MemoryLock:
    """A lock among threads: no other process can see the folder."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """See Lock."""
        self._lock.acquire()

    def try_acquire(self) -> bool:
        """See Lock."""
        return self._lock.acquire(blocking=False)

    def release(self) -> None:
        """See Lock."""
        self._lock.release()

    def close(self) -> None:
        """See Lock."""


class MemoryFolder:
    """A folder held in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self._locks: dict[str, MemoryLock] = {}
        self._beside: dict[str, MemoryFolder] = {}

    def names(self, subfolder: str = "") -> list[str]:
        """See Folder."""
        start = f"{subfolder}/" if subfolder else ""
        rests = [name.removeprefix(start) for name in self.files if name.startswith(start)]
        return sorted(rest for rest in rests if "/" not in rest)

    def open(self, name: str, *, writable: bool = False) -> MemoryFile:
        """See Folder."""
        if name not in self.files:
            raise FileNotFoundError(name)
        return MemoryFile(self.files[name], name)

    def create(self, name: str) -> MemoryFile:
        """See Folder."""
        self.files[name] = bytearray()
        return MemoryFile(self.files[name], name)

    def rename(self, old: str, new: str) -> None:
        """See Folder."""
        self.files[new] = self.files.pop(old)

    def remove(self, name: str) -> None:
        """See Folder."""
        if self.files.pop(name, None) is None:
            raise FileNotFoundError(name)

    def protect(self, name: str) -> None:
        """See Folder."""

    def sync_names(self) -> None:
        """See Folder."""

    def room(self) -> int:
        """See Folder."""
        return 0

    def reserve(self, name: str, size: int) -> None:
        """See Folder."""

    def beside(self, name: str, *, create: bool = False) -> MemoryFolder:
        """See Folder."""
        return self._beside.setdefault(name, MemoryFolder())

    def lock(self, name: str) -> MemoryLock:
        """See Folder."""
        return self._locks.setdefault(name, MemoryLock())

    def describe(self, name: str) -> str:
        """See Folder."""
        return f"memory:{name}"
