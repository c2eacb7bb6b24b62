"""A container's plaintext for other programs."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from luksmith import _luksmith
from luksmith._options import Unlocking, check_key, complete

if TYPE_CHECKING:
    from typing import Unpack

    from luksmith._types import Passphrase, Path, Secret, Source


def _end(server: _luksmith.Server, folder: str | None) -> None:
    try:
        server.close()
    finally:
        # It is the other process's, where that serves.
        if folder is not None and not server.is_foreign:
            shutil.rmtree(folder, ignore_errors=True)


class _Served:
    """What is served until it is closed, or nobody has it any more, or Python ends."""

    def __init__(self, server: _luksmith.Server, folder: str | None = None) -> None:
        self._server = server
        self._end = weakref.finalize(self, _end, server, folder)

    def report(self) -> dict[str, Any]:
        """What is served: its type, cipher, key size, sector size, bytes of plaintext."""
        return self._server.report()

    @property
    def size(self) -> int:
        """Bytes of plaintext."""
        size: int = self._server.report()["payload_bytes"]
        return size

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return not self._server.is_running

    def close(self) -> None:
        """End it: what is at work is answered, what was written is made durable, and the keys are wiped."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Server(_Served):
    """A container that is served over NBD, as :func:`luksmith.serve` gives it.

    >>> with luksmith.serve("disk.img", "correct horse") as server:
    ...     server.size
    4194304
    """

    @property
    def socket(self) -> str:
        """The path of the Unix socket."""
        return os.fspath(self._server.place)

    @property
    def uri(self) -> str:
        """What clients of NBD take: ``nbd+unix:///?socket=PATH``."""
        return "nbd+unix:///?socket=" + quote(self.socket)


class Mount(_Served):
    """A container whose plaintext is mounted, as :func:`luksmith.mount` gives it.

    >>> with tempfile.TemporaryDirectory() as folder, luksmith.mount("disk.img", folder, "correct horse") as mounted:
    ...     os.path.basename(mounted.path), os.path.getsize(mounted.path)
    ('plain', 4194304)
    """

    @property
    def path(self) -> str:
        """The file that is the plaintext."""
        return os.fspath(self._server.place)


def serve(
    source: Source,
    passphrase: Passphrase | None = None,
    *,
    socket: Path | None = None,
    volume_key: Secret | None = None,
    header: Source | None = None,
    readonly: bool = True,
    allow_in_use: bool = False,
    **unlocking: Unpack[Unlocking],
) -> Server:
    """Serve a container over NBD, at a Unix socket that nobody but this user reaches, until it is closed.

    :param source: The container. Only a path or a file descriptor can be written.
    :param passphrase: What opens it.
    :param socket: The path of a new socket; one in a folder of its own unless said.
    :param volume_key: The volume key itself, in place of a passphrase.
    :param header: Where the header is, if it is detached.
    :param readonly: Nothing is written, and others may read too.
    :param allow_in_use: Read it even while somebody else may be writing it.
    :param unlocking: :class:`Unlocking`.

    >>> with luksmith.serve("disk.img", "correct horse") as server:
    ...     server.uri.startswith("nbd+unix:///?socket=/")
    True
    """
    check_key(passphrase, volume_key)
    options = complete("serve", Unlocking, unlocking, header=header, readonly=readonly, allow_in_use=allow_in_use)
    if socket is not None:
        return Server(_luksmith.serve(source, passphrase, volume_key, options, socket))
    folder = tempfile.mkdtemp(prefix="luksmith-")
    try:
        server = _luksmith.serve(source, passphrase, volume_key, options, os.path.join(folder, "nbd"))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Server(server, folder)


def mount(
    source: Source,
    target: Path,
    passphrase: Passphrase | None = None,
    *,
    volume_key: Secret | None = None,
    header: Source | None = None,
    readonly: bool = True,
    allow_other: bool = False,
    allow_in_use: bool = False,
    **unlocking: Unpack[Unlocking],
) -> Mount:
    """Mount the plaintext of a container as a file, by FUSE, until it is closed. This process serves it.

    :param source: The container. Only a path or a file descriptor can be written.
    :param target: An empty folder, over which the file is ``plain``, or a file.
    :param passphrase: What opens it.
    :param volume_key: The volume key itself, in place of a passphrase.
    :param header: Where the header is, if it is detached.
    :param readonly: Nothing is written, and others may read the container too.
    :param allow_other: Every user of the machine may read it, and write it unless it is read-only.
    :param allow_in_use: Read it even while somebody else may be writing it.
    :param unlocking: :class:`Unlocking`.

    This process answers for the file: what waits for it while it holds the interpreter's lock, such as an access to a map of
    the file in memory (mmap), waits for ever where the source is a file object of Python, which needs that lock.

    >>> with tempfile.TemporaryDirectory() as folder, luksmith.mount("disk.img", folder, "correct horse") as mounted:
    ...     with open(mounted.path, "rb") as file:
    ...         file.read(5)
    b'hello'
    """
    check_key(passphrase, volume_key)
    options = complete("mount", Unlocking, unlocking, header=header, readonly=readonly, allow_in_use=allow_in_use)
    return Mount(_luksmith.mount(source, target, passphrase, volume_key, options, allow_other))
