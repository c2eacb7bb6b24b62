"""The plaintext of a container as a file object."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from luksmith import _luksmith
from luksmith._options import Unlocking, check_key, complete

if TYPE_CHECKING:
    from typing import Unpack

    from typing_extensions import Buffer

    from luksmith._types import Passphrase, Secret, Source

_FILE_END = 2**63 - 1


def open(
    source: Source,
    passphrase: Passphrase | None = None,
    *,
    volume_key: Secret | None = None,
    header: Source | None = None,
    readonly: bool = True,
    allow_in_use: bool = False,
    **unlocking: Unpack[Unlocking],
) -> File:
    """Open a container.

    :param source: Where it is. Only a path or a file descriptor can be written.
    :param passphrase: What opens a keyslot: bytes, str (its bytes in UTF-8), or a function that is asked.
    :param volume_key: The volume key itself, in place of a passphrase.
    :param header: Where the header is, if it is detached.
    :param readonly: Nothing is written, and others may read too. Otherwise nobody else may use the image.
    :param allow_in_use: Read it even while somebody else may be writing it.
    :param unlocking: :class:`Unlocking`.

    >>> with luksmith.open("disk.img", passphrase="correct horse") as disk:
    ...     disk.size, disk.read(5)
    (4194304, b'hello')
    """
    check_key(passphrase, volume_key)
    options = complete("open", Unlocking, unlocking, header=header, readonly=readonly, allow_in_use=allow_in_use)
    return File(_luksmith.open(source, passphrase, volume_key, options))


class File(io.RawIOBase):
    """The plaintext of a container, as :func:`luksmith.open` gives it.

    It is a raw file: each read and write goes to the image. :class:`io.BufferedReader` makes many small reads fast. Its size
    is fixed. Any number of threads may use it; :meth:`pread` and :meth:`pwrite` do not move the position that the others
    share.

    >>> with luksmith.open("disk.img", passphrase="correct horse", readonly=False) as disk:
    ...     disk.pwrite(512, b"at any byte")
    ...     disk.flush()
    ...     disk.pread(515, 3)
    11
    b'any'
    """

    def __init__(self, volume: _luksmith.Volume) -> None:
        self._volume = volume
        self._position = 0
        # Held while the position is; a signal's handler may read too.
        self._turn = threading.RLock()

    @property
    def size(self) -> int:
        """Bytes of plaintext."""
        return self._volume.size

    @property
    def sector_size(self) -> int:
        """Bytes that are encrypted as one: writes that keep to it need no reads."""
        return self._volume.sector_size

    @property
    def name(self) -> str:
        """How messages name the image."""
        return self._volume.name

    @property
    def mode(self) -> str:
        """``rb`` or ``rb+``."""
        return "rb" if self._volume.readonly else "rb+"

    @property
    def keyslot(self) -> int | None:
        """The keyslot that has opened it; none if it was the volume key."""
        return self._volume.keyslot

    def report(self) -> dict[str, Any]:
        """What is open: its type, cipher, key size, sector size.

        >>> with luksmith.open("disk.img", passphrase="correct horse") as disk:
        ...     disk.report()["cipher"]
        'aes-xts-plain64'
        """
        return self._volume.report()

    def readable(self) -> bool:
        """Always, unless it is closed."""
        self._check_open()
        return True

    def writable(self) -> bool:
        """Whether it was opened to be written."""
        self._check_open()
        return not self._volume.readonly

    def seekable(self) -> bool:
        """Always, unless it is closed."""
        self._check_open()
        return True

    def tell(self) -> int:
        """The position."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position, beyond the end too."""
        self._check_open()
        with self._turn:
            if whence == io.SEEK_SET:
                base = 0
            elif whence == io.SEEK_CUR:
                base = self._position
            elif whence == io.SEEK_END:
                base = self.size
            else:
                raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
            position = base + offset.__index__()
            if position < 0:
                raise ValueError(f"negative seek position {position}")
            if position > _FILE_END:
                raise OverflowError(f"position {position} is beyond 2^63, where no file is")
            self._position = position
            return position

    def read(self, size: int | None = -1, /) -> bytes:
        """At most so many bytes, all that follow unless said; fewer only at the end."""
        self._check_open()
        with self._turn:
            rest = max(self.size - self._position, 0)
            wanted = rest if size is None or size < 0 else min(size, rest)
            data = self._volume.pread(self._position, wanted)
            self._position += len(data)
            return data

    def readall(self) -> bytes:
        """All that follows."""
        return self.read(-1)

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer, as far as there is something; the number of bytes."""
        self._check_open()
        with self._turn:
            done = self._volume.pread_into(self._position, buffer)
            self._position += done
            return done

    def write(self, data: Buffer, /) -> int:
        """Write all of ``data``, or nothing where they go past the end (OSError, ENOSPC)."""
        self._check_open()
        with self._turn:
            done = self._volume.pwrite(self._position, data)
            self._position += done
            return done

    def pread(self, offset: int, size: int, /) -> bytes:
        """At most ``size`` bytes from ``offset`` on, fewer only at the end. The position stays.

        >>> with luksmith.open("disk.img", passphrase="correct horse") as disk:
        ...     disk.pread(1, 4)
        b'ello'
        """
        self._check_open()
        return self._volume.pread(_unsigned("offset", offset), _unsigned("size", size))

    def preadinto(self, offset: int, buffer: Buffer, /) -> int:
        """Fill a buffer from ``offset`` on, as far as there is something; the number of bytes. The position stays."""
        self._check_open()
        return self._volume.pread_into(_unsigned("offset", offset), buffer)

    def pwrite(self, offset: int, data: Buffer, /) -> int:
        """Write all of ``data`` from ``offset`` on, or nothing where they go past the end. The position stays."""
        self._check_open()
        return self._volume.pwrite(_unsigned("offset", offset), data)

    def flush(self) -> None:
        """Return once all that was written will survive a loss of power."""
        self._check_open()
        self._volume.sync()

    def truncate(self, size: int | None = None, /) -> NoReturn:
        """Refused: the size of a container's plaintext is that of its image."""
        self._check_open()
        raise io.UnsupportedOperation("the size of a container is fixed")

    def close(self) -> None:
        """Make durable what was written, wipe the keys, and let others have the image."""
        if self.closed:
            return
        volume: _luksmith.Volume | None = getattr(self, "_volume", None)
        try:
            super().close()
        except ValueError:
            # Another process has opened it: nothing is to be written here.
            if volume is None or not volume.is_foreign:
                raise
        finally:
            if volume is not None:
                volume.close()

    def fileno(self) -> NoReturn:
        """Refused: no descriptor of the system has the plaintext."""
        raise io.UnsupportedOperation("fileno")

    def __repr__(self) -> str:
        volume: _luksmith.Volume | None = getattr(self, "_volume", None)
        if volume is None:
            return "<luksmith.File>"
        state = " closed" if self.closed else ""
        return f"<luksmith.File {volume.name!r} size={volume.size} mode={self.mode!r}{state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("what is open cannot be copied or pickled")

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


def _unsigned(what: str, number: int) -> int:
    number = number.__index__()
    if number < 0:
        raise ValueError(f"negative {what} {number}")
    if number > _FILE_END:
        raise OverflowError(f"{what} {number} is beyond 2^63, where no file is")
    return number
