"""The only way to a disk: one small interface, so that every fault can be played.

`Folder` is one directory with files in it (and one level of sub-folders, for quarantine). The real one is here,
`memory.py` holds one for stores without a disk, and the tests bring one that crashes, tears, fills and forgets.
Nothing else in `evlog` opens, writes, syncs, renames or removes a file.

What a crash may do, and what callers therefore do about it:
- bytes written but not synced may reach the disk in any part and any order: `File.sync`;
- a name made, renamed or removed may be forgotten until its folder is synced: `Folder.sync_names`;
- after a failed sync the cached bytes may look clean and be lost: never sync again in hope, rewrite them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import threading
from typing import TYPE_CHECKING, Final, Protocol

from evlog.errors import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


_BLOCK_BYTES: Final = 512  # Of st_blocks, whatever the file system's own blocks are.


class File(Protocol):
    """An open file, addressed by position."""

    name: str

    def read(self, size: int, position: int) -> bytes:
        """Return up to `size` bytes from `position`; fewer only at the end of the file."""
        ...

    def write(self, data: bytes, position: int) -> None:
        """Write all of `data` at `position`, or raise StorageError (some of it may then be there)."""
        ...

    def sync(self) -> None:
        """Return when every byte written so far is on stable storage."""
        ...

    def size(self) -> int:
        """Return the size in bytes. Of one opened to write raises StorageError if it lost its name: nobody would find it again."""
        ...

    def forget(self) -> None:
        """Let the system drop what it keeps of the file in memory: the next read is of the device, where there is a way."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def close(self) -> None:
        """Release the file; writes nothing."""
        ...


class Lock(Protocol):
    """An exclusive lock between processes; also excludes other holders in this one."""

    def acquire(self) -> None:
        """Wait for the lock and take it."""
        ...

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it, and tell whether it was taken."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...

    def close(self) -> None:
        """Release the lock's file."""
        ...


class Folder(Protocol):
    """One directory of files."""

    def names(self, subfolder: str = "") -> list[str]:
        """Return the names of the files in it or in a sub-folder, sorted. Empty where that does not exist."""
        ...

    def open(self, name: str, *, writable: bool = False) -> File:
        """Open an existing file. Raises FileNotFoundError where there is none."""
        ...

    def create(self, name: str) -> File:
        """Create an empty file, or empty the one there; the name is durable after `sync_names`."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, replacing what bore it."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, for good after `sync_names`. Whoever has it open reads on. Raises FileNotFoundError where there is none."""
        ...

    def protect(self, name: str) -> None:
        """Make a file one that nobody may write: mode 0444."""
        ...

    def sync_names(self) -> None:
        """Return when every name made, changed or removed so far is on stable storage."""
        ...

    def room(self) -> int:
        """Return how many bytes can still be written here; 0 where files take no room that could run out."""
        ...

    def reserve(self, name: str, size: int) -> None:
        """Make a file that takes up `size` bytes of the device, or raise StorageError and leave none. Nothing in it counts."""
        ...

    def beside(self, name: str, *, create: bool = False) -> Folder:
        """Return a folder beside this one, that only its owner can read; `name` may have a slash."""
        ...

    def lock(self, name: str) -> Lock:
        """Return the lock that lives in the file `name`, not yet taken."""
        ...

    def describe(self, name: str) -> str:
        """Return the file's name as a person should read it in a message."""
        ...


@contextlib.contextmanager
def _named(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(what, name, error) from error


class RealFile:
    """A file of the operating system."""

    __slots__ = ("_fd", "_writable", "name")

    def __init__(self, fd: int, name: str, *, writable: bool) -> None:
        self._fd, self.name, self._writable = fd, name, writable

    def read(self, size: int, position: int) -> bytes:
        """See File."""
        try:
            data = os.pread(self._fd, size, position)
            while 0 < len(data) < size:
                more = os.pread(self._fd, size - len(data), position + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise storage_error("read failed", self.name, error) from error
        return data

    def write(self, data: bytes, position: int) -> None:
        """See File."""
        try:
            done = os.pwrite(self._fd, data, position)
            while done < len(data):  # A short write is not an error by itself; the next one names the cause.
                done += os.pwrite(self._fd, data[done:], position + done)
        except OSError as error:
            raise storage_error("write failed", self.name, error) from error

    def sync(self) -> None:
        """See File. `fdatasync` also writes the size, which is all the metadata that a log needs."""
        try:
            _sync(self._fd)
        except OSError as error:
            raise storage_error("sync failed", self.name, error) from error

    def size(self) -> int:
        """See File."""
        status = os.fstat(self._fd)
        if self._writable and status.st_nlink == 0:  # What would be appended here is gone when the last one closes it.
            cause = OSError(errno.ENOENT, "its name is gone")
            raise storage_error("the file was removed while it was open", self.name, cause)
        return status.st_size

    def forget(self) -> None:
        """See File. Drops clean pages, so sync first; macOS has no such call."""
        advise = getattr(os, "posix_fadvise", None)
        if advise is not None:
            with contextlib.suppress(OSError):  # A file system may not know it: then what is in memory is read.
                advise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def truncate(self, size: int) -> None:
        """See File."""
        with _named("truncate failed", self.name):
            os.ftruncate(self._fd, size)

    def close(self) -> None:
        """See File. Once: the number may be another file's by now."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class RealLock:
    """`flock`: dropped by the kernel when its process dies, and not when some other descriptor is closed.

    The kernel's lock belongs to the descriptor, so it does not keep two threads apart that share this object.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd, self._name = fd, name
        self._threads = threading.Lock()  # Taken first, given back last.

    def acquire(self) -> None:
        """See Lock."""
        self._threads.acquire()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            self._threads.release()
            raise storage_error("cannot lock", self._name, error) from error
        except BaseException:  # An interrupt may come just as the lock is given.
            self.release()
            raise

    def try_acquire(self) -> bool:
        """See Lock."""
        if not self._threads.acquire(blocking=False):
            return False
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._threads.release()
            return False
        except OSError as error:
            self._threads.release()
            raise storage_error("cannot lock", self._name, error) from error
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """See Lock."""
        try:
            with _named("cannot unlock", self._name):
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """See Lock."""
        os.close(self._fd)


@contextlib.contextmanager
def held(lock: Lock) -> Iterator[None]:
    """Hold a lock while a `with` block runs."""
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


class RealFolder:
    """A directory of the operating system."""

    def __init__(self, path: Path, *, create: bool = False, private: bool = False) -> None:
        """Name a directory. create: make it where it is not there. private: it, and files made in it, are for its owner alone."""
        self.path, self._mode = path, 0o600 if private else 0o666
        if create:
            with _named("cannot create the folder", str(path)):
                _make_folder(path.absolute())
                if private:
                    os.chmod(path, 0o700)

    def names(self, subfolder: str = "") -> list[str]:
        """See Folder."""
        try:
            with os.scandir(self.path / subfolder) as entries:
                return sorted(entry.name for entry in entries if entry.is_file())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error("cannot list the folder", self.describe(subfolder), error) from error

    def open(self, name: str, *, writable: bool = False) -> RealFile:
        """See Folder."""
        flags = os.O_RDWR if writable else os.O_RDONLY
        try:
            fd = os.open(self.path / name, flags | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise storage_error("cannot open", self.describe(name), error) from error
        return RealFile(fd, self.describe(name), writable=writable)

    def create(self, name: str) -> RealFile:
        """See Folder."""
        path = self.path / name
        with _named("cannot create", self.describe(name)):
            if path.parent != self.path and not path.parent.is_dir():
                path.parent.mkdir()
                sync_folder(self.path)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, self._mode)
        return RealFile(fd, self.describe(name), writable=True)

    def rename(self, old: str, new: str) -> None:
        """See Folder."""
        with _named("cannot rename", self.describe(old)):
            os.rename(self.path / old, self.path / new)

    def remove(self, name: str) -> None:
        """See Folder."""
        try:
            os.unlink(self.path / name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise storage_error("cannot remove", self.describe(name), error) from error

    def protect(self, name: str) -> None:
        """See Folder."""
        with _named("cannot make read-only", self.describe(name)):
            os.chmod(self.path / name, 0o444)

    def sync_names(self) -> None:
        """See Folder. Syncs the sub-folders too: there is one at most, and it is rarely there."""
        with _named("sync failed", str(self.path)):
            sync_folder(self.path)
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if entry.is_dir():
                        sync_folder(self.path / entry.name)

    def room(self) -> int:
        """See Folder."""
        with _named("cannot tell the free space", str(self.path)):
            status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def reserve(self, name: str, size: int) -> None:
        """See Folder. Chance, where the system cannot allocate: a file system that compresses would make nothing of zeros."""
        path = self.path / name
        with _named("cannot reserve", self.describe(name)):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            try:
                allocate = getattr(os, "posix_fallocate", None)
                if allocate is not None:
                    allocate(fd, 0, size)
                if os.fstat(fd).st_blocks * _BLOCK_BYTES < size:
                    os.pwrite(fd, os.urandom(size), 0)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            finally:
                os.close(fd)

    def beside(self, name: str, *, create: bool = False) -> RealFolder:
        """See Folder."""
        return RealFolder(self.path.parent / name, create=create, private=True)

    def lock(self, name: str) -> RealLock:
        """See Folder."""
        with _named("cannot open the lock", self.describe(name)):
            fd = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
        return RealLock(fd, self.describe(name))

    def describe(self, name: str) -> str:
        """See Folder."""
        return str(self.path / name)


UNFINISHED: Final = ".new"  # Behind the name of a file that is being written.


def write_whole(folder: Folder, name: str, data: bytes) -> None:
    """Make a file with these bytes, or put them in the place of those in it: it holds the old or the new ones, whatever happens.

    The new name is durable after `sync_names`.
    """
    write_pieces(folder, name, [data])


def write_pieces(folder: Folder, name: str, pieces: Iterable[bytes]) -> None:
    """Make a file of these bytes one after the other, as `write_whole` does."""
    temporary = name + UNFINISHED
    with contextlib.closing(folder.create(temporary)) as file:
        position = 0
        for data in pieces:
            file.write(data, position)
            position += len(data)
        file.sync()
    folder.rename(temporary, name)


@contextlib.contextmanager
def staged(place: Path) -> Iterator[Path]:
    """Yield a new folder that becomes `place` when the block is done: that is there whole or not at all.

    It lies beside `place`, as `.NAME.new-` and 8 hexadecimal digits: what a killed process leaves may be removed. Raises StorageError.
    """
    place = place.absolute()
    folder = place.parent / f".{place.name}.new-{secrets.token_hex(4)}"
    with _named("cannot create the folder", str(place)):
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, "it is there already")
        _make_folder(folder)
    try:
        yield folder
        with _named("cannot rename", str(folder)):
            sync_folder(folder)
            os.rename(folder, place)
            sync_folder(place.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, each name durable before the next.

    The name of one that is there is synced too: whoever made it may have died before that.
    """
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
    with contextlib.suppress(PermissionError):  # A folder that we may not list was not made by us.
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on stable storage."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync(fd: int) -> None:
    """Sync a file's bytes. macOS answers fdatasync before the drive does; there only F_FULLFSYNC keeps the promise."""
    full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is not None:
        fcntl.fcntl(fd, full_sync)
    else:
        os.fdatasync(fd)
