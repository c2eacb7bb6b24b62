"""Images that are made, and how large they become."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from luksmith import _luksmith
from luksmith._options import NewContainer, Unlocking, UnlockingAndContainer, check_key, complete

if TYPE_CHECKING:
    from typing import Unpack

    from luksmith._types import Passphrase, Path, Progress, Secret, Source


def format(
    destination: Path,
    passphrase: Passphrase,
    *,
    size: int | None = None,
    container_size: int | None = None,
    volume_key: Secret | None = None,
    header: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    allow_weak: bool = False,
    **new: Unpack[NewContainer],
) -> dict[str, Any]:
    """Make an empty container, which is there whole or not at all.

    :param destination: A new file or, with ``force``, one that there is, or a device.
    :param passphrase: What will open it.
    :param size: Bytes of plaintext.
    :param container_size: Bytes of the container, in place of that. Without either a device, or a file that there is, keeps
        its size.
    :param volume_key: The volume key; a random one unless said.
    :param header: Where the header is written, if it is to be detached.
    :param force: Write over what there is.
    :param dry_run: Say what would come of it, and write nothing.
    :param allow_weak: Take an empty passphrase, or a cipher that protects little.
    :param new: :class:`NewContainer`.
    :returns: what was made, as ``luksmith create --json`` says it.

    >>> made = luksmith.format("new.img", "correct horse", size=1 << 20, pbkdf_iterations=4, pbkdf_memory_kib=64)
    >>> made["container_bytes"], made["sector_size"]
    (17825792, 4096)
    """
    if size is None and container_size is None and force:
        try:
            there = os.stat(destination)
        except FileNotFoundError:
            pass
        else:
            if stat.S_ISREG(there.st_mode):
                container_size = there.st_size
    options = complete(
        "format",
        NewContainer,
        new,
        size=size,
        container_size=container_size,
        header=header,
        force=force,
        dry_run=dry_run,
        threads=None,
        allow_in_use=False,
        allow_weak=allow_weak,
    )
    return _luksmith.format(destination, passphrase, volume_key, options)


def encrypt(
    source: Source,
    destination: Path,
    passphrase: Passphrase,
    *,
    size: int | None = None,
    volume_key: Secret | None = None,
    header: Path | None = None,
    keep_holes: bool = False,
    pad: bool = False,
    force: bool = False,
    dry_run: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    allow_in_use: bool = False,
    allow_weak: bool = False,
    allow_any_source: bool = False,
    **new: Unpack[NewContainer],
) -> dict[str, Any]:
    """Encrypt a raw image into a new container, which is there whole or not at all.

    :param source: The raw image.
    :param destination: A new file or, with ``force``, one that there is, or a device.
    :param passphrase: What will open it.
    :param size: So many bytes of the source, all unless said.
    :param volume_key: The volume key; a random one unless said.
    :param header: Where the header is written, if it is to be detached.
    :param keep_holes: Leave the holes of the source unwritten: they read as noise, and show which parts are empty.
    :param pad: Fill the last sector with zeros.
    :param force: Write over what there is.
    :param dry_run: Say what would come of it, and write nothing.
    :param threads: How many work; as many as there are processors unless said.
    :param progress: Called with bytes that are done, and bytes in all or None. An exception in it ends the job.
    :param allow_in_use: Read the source even while somebody else may be writing it.
    :param allow_weak: Take an empty passphrase, or a cipher that protects little.
    :param allow_any_source: Take a source that is a container or an image in a format of its own as it is.
    :param new: :class:`NewContainer`.
    :returns: what was made, as ``luksmith encrypt --json`` says it.

    >>> raw = io.BytesIO(bytes(1 << 20))
    >>> luksmith.encrypt(raw, "new.img", "correct horse", type="luks1", pbkdf_iterations=1000)["payload_bytes"]
    1048576
    """
    options = complete(
        "encrypt",
        NewContainer,
        new,
        size=size,
        header=header,
        keep_holes=keep_holes,
        pad=pad,
        force=force,
        dry_run=dry_run,
        threads=threads,
        allow_in_use=allow_in_use,
        allow_weak=allow_weak,
        allow_any_source=allow_any_source,
    )
    return _luksmith.encrypt(source, destination, passphrase, volume_key, options, progress)


def decrypt(
    source: Source,
    destination: Path,
    passphrase: Passphrase | None = None,
    *,
    size: int | None = None,
    volume_key: Secret | None = None,
    header: Source | None = None,
    force: bool = False,
    dry_run: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    allow_in_use: bool = False,
    **unlocking: Unpack[Unlocking],
) -> dict[str, Any]:
    """Decrypt a container into a new raw image, which is there whole or not at all.

    :param source: The container.
    :param destination: A new file or, with ``force``, one that there is, or a device.
    :param passphrase: What opens it.
    :param size: So many bytes of plaintext, all unless said.
    :param volume_key: The volume key itself, in place of a passphrase.
    :param header: Where the header is, if it is detached.
    :param force: Write over what there is.
    :param dry_run: Say what would come of it, and write nothing.
    :param threads: How many work; as many as there are processors unless said.
    :param progress: Called with bytes that are done, and bytes in all or None. An exception in it ends the job.
    :param allow_in_use: Read the container even while somebody else may be writing it.
    :param unlocking: :class:`Unlocking`.
    :returns: what was made, as ``luksmith decrypt --json`` says it.

    >>> luksmith.decrypt("disk.img", "disk.raw", "correct horse")["payload_bytes"]
    4194304
    """
    check_key(passphrase, volume_key)
    options = complete(
        "decrypt",
        Unlocking,
        unlocking,
        size=size,
        header=header,
        force=force,
        dry_run=dry_run,
        threads=threads,
        allow_in_use=allow_in_use,
        allow_weak=False,
    )
    return _luksmith.decrypt(source, destination, passphrase, volume_key, options, progress)


def clone(
    source: Source,
    destination: Path,
    passphrase: Passphrase | None = None,
    *,
    new_passphrase: Passphrase | None = None,
    raw: bool = False,
    size: int | None = None,
    container_size: int | None = None,
    volume_key: Secret | None = None,
    header: Source | None = None,
    keep_holes: bool = False,
    force: bool = False,
    dry_run: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    allow_in_use: bool = False,
    allow_weak: bool = False,
    allow_weaker: bool = False,
    **options: Unpack[UnlockingAndContainer],
) -> dict[str, Any]:
    """Copy a container, or a raw image, under a volume key of its own: in one pass, with its plaintext in memory alone.

    :param source: The container or the image.
    :param destination: A new file or, with ``force``, one that there is, or a device.
    :param passphrase: What opens the source.
    :param new_passphrase: What will open the clone; the same passphrase unless said.
    :param raw: The source is a raw image.
    :param size: Bytes of plaintext of the clone, those of the source unless said.
    :param container_size: Bytes of the clone, in place of that.
    :param volume_key: The volume key of the source, in place of its passphrase.
    :param header: Where the header of the source is, if it is detached.
    :param keep_holes: Leave holes unwritten: they read as noise, and show which parts are empty.
    :param force: Write over what there is.
    :param dry_run: Say what would come of it, and write nothing.
    :param threads: How many work; as many as there are processors unless said.
    :param progress: Called with bytes that are done, and bytes in all or None. An exception in it ends the job.
    :param allow_in_use: Read the source even while somebody else may be writing it.
    :param allow_weak: Take an empty passphrase, or a cipher that protects little.
    :param allow_weaker: Take a smaller key, or one that is cheaper to guess, than the source has.
    :param options: :class:`Unlocking`, and :class:`NewContainer` of which what is not said is as the source has it.
    :returns: what was made, as ``luksmith clone --json`` says it.

    >>> made = luksmith.clone("disk.img", "clone.img", "correct horse", new_passphrase="battery staple")
    >>> made["clones"][0]["keyslots"]
    [{'keyslot': 0, 'opened_by': 'new-passphrase'}]
    """
    if not raw:
        check_key(passphrase, volume_key)
    every = complete(
        "clone",
        UnlockingAndContainer,
        options,
        raw=raw,
        size=size,
        container_size=container_size,
        header=header,
        keep_holes=keep_holes,
        force=force,
        dry_run=dry_run,
        threads=threads,
        allow_in_use=allow_in_use,
        allow_weak=allow_weak,
        allow_weaker=allow_weaker,
    )
    return _luksmith.clone(source, destination, passphrase, new_passphrase, volume_key, every, progress)


def measure(
    source: Source | None = None,
    *,
    size: int | None = None,
    container_size: int | None = None,
    detached: bool = False,
    **new: Unpack[NewContainer],
) -> dict[str, Any]:
    """How large a container becomes. Nothing is written.

    :param source: A raw image that is to be encrypted.
    :param size: Bytes of plaintext, in place of that.
    :param container_size: Bytes of the container, in place of that.
    :param detached: Its header lies in a file of its own.
    :param new: :class:`NewContainer`.
    :returns: sizes in bytes, as ``luksmith measure --json`` says them.

    >>> luksmith.measure(size=1 << 30, type="luks1")["container_bytes"] - (1 << 30)
    2097152
    """
    options = complete("measure", NewContainer, new, size=size, container_size=container_size, detached=detached)
    return _luksmith.measure(source, options)
