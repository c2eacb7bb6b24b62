"""The keyslots of a container, and whether it is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luksmith import _luksmith
from luksmith._options import Unlocking, UnlockingAndKeyslot, check_key, complete

if TYPE_CHECKING:
    from typing import Unpack

    from luksmith._types import Passphrase, Path, Secret, Source


def add_key(
    image: Path | int,
    passphrase: Passphrase | None,
    new_passphrase: Passphrase,
    *,
    volume_key: Secret | None = None,
    new_key_slot: int | None = None,
    backup: Path | None = None,
    dry_run: bool = False,
    **options: Unpack[UnlockingAndKeyslot],
) -> dict[str, Any]:
    """Give a container one more passphrase.

    :param image: The container, or its header.
    :param passphrase: One that opens it; None where ``volume_key`` does.
    :param new_passphrase: The new one.
    :param volume_key: The volume key itself.
    :param new_key_slot: The keyslot to use; the first that is free unless said.
    :param backup: A new file for header and keyslots as they are before.
    :param dry_run: Say what would be written, and write nothing.
    :param options: :class:`Unlocking` and :class:`NewKeyslot`.
    :returns: the ``keyslot``.

    >>> luksmith.add_key("disk.img", "correct horse", "battery staple", pbkdf="pbkdf2", pbkdf_iterations=1000)["keyslot"]
    1
    """
    check_key(passphrase, volume_key)
    every = complete(
        "add_key", UnlockingAndKeyslot, options, new_key_slot=new_key_slot, backup=backup, dry_run=dry_run
    )
    return _luksmith.add_key(image, passphrase, new_passphrase, volume_key, every)


def change_key(
    image: Path | int,
    passphrase: Passphrase | None,
    new_passphrase: Passphrase,
    *,
    volume_key: Secret | None = None,
    backup: Path | None = None,
    dry_run: bool = False,
    **options: Unpack[UnlockingAndKeyslot],
) -> dict[str, Any]:
    """Give a keyslot another passphrase: that which ``passphrase`` opens.

    The new one is on the disk, and proven, before the old one goes.

    :param image: The container, or its header.
    :param passphrase: The old one; None where ``volume_key`` does, which needs ``key_slot``.
    :param new_passphrase: The new one.
    :param volume_key: The volume key itself.
    :param backup: A new file for header and keyslots as they are before.
    :param dry_run: Say what would be written, and write nothing.
    :param options: :class:`Unlocking` and :class:`NewKeyslot`.
    :returns: the ``keyslot``, and the ``old_keyslot`` that it was in.

    >>> changed = luksmith.change_key(
    ...     "disk.img", "correct horse", "battery staple", pbkdf="pbkdf2", pbkdf_iterations=1000
    ... )
    >>> luksmith.test_key("disk.img", "battery staple")["opens"]
    True
    """
    check_key(passphrase, volume_key)
    every = complete("change_key", UnlockingAndKeyslot, options, backup=backup, dry_run=dry_run)
    return _luksmith.change_key(image, passphrase, new_passphrase, volume_key, every)


def remove_key(
    image: Path | int,
    passphrase: Passphrase | None = None,
    *,
    volume_key: Secret | None = None,
    allow_last: bool = False,
    backup: Path | None = None,
    dry_run: bool = False,
    **unlocking: Unpack[Unlocking],
) -> dict[str, Any]:
    """Take a passphrase away: that of ``key_slot``, or ``passphrase`` itself.

    With ``key_slot``, a ``passphrase`` or a ``volume_key`` is one that is left; without either nobody proves that there is
    one.

    :param image: The container, or its header.
    :param allow_last: Remove the last one too: nobody opens the container any more.
    :param backup: A new file for header and keyslots as they are before.
    :param dry_run: Say what would be written, and write nothing.
    :param unlocking: :class:`Unlocking`.
    :returns: the ``keyslot``, and whether it was the ``last``.

    >>> slot = luksmith.add_key("disk.img", "correct horse", "battery staple", pbkdf="pbkdf2", pbkdf_iterations=1000)
    >>> luksmith.remove_key("disk.img", "battery staple")["keyslot"]
    1
    """
    if unlocking.get("key_slot") is None and passphrase is None:
        raise TypeError("a passphrase or a key_slot is needed")
    options = complete("remove_key", Unlocking, unlocking, allow_last=allow_last, backup=backup, dry_run=dry_run)
    return _luksmith.remove_key(image, passphrase, volume_key, options)


def test_key(
    source: Source,
    passphrase: Passphrase | None = None,
    *,
    volume_key: Secret | None = None,
    allow_in_use: bool = False,
    **unlocking: Unpack[Unlocking],
) -> dict[str, Any]:
    """Test whether a key opens a container; where none fits that is :class:`NoKeyFitsError`. No data are decrypted.

    :param source: The container, or its header.
    :param passphrase: What may open it.
    :param volume_key: The volume key itself, in place of a passphrase.
    :param allow_in_use: Read it even while somebody else may be writing it.
    :param unlocking: :class:`Unlocking`.
    :returns: the ``keyslot`` that it opens, as ``luksmith key test --json`` says it.

    >>> luksmith.test_key("disk.img", "correct horse")["keyslot"]
    0
    """
    check_key(passphrase, volume_key)
    options = complete("test_key", Unlocking, unlocking, allow_in_use=allow_in_use)
    return _luksmith.test_key(source, passphrase, volume_key, options)


def verify(
    source: Source,
    passphrase: Passphrase | None = None,
    *,
    volume_key: Secret | None = None,
    data: Source | None = None,
    allow_in_use: bool = False,
    **unlocking: Unpack[Unlocking],
) -> dict[str, Any]:
    """Whether a container is sound, as far as can be seen.

    :param source: The container, or its header.
    :param passphrase: A key that is checked as well.
    :param volume_key: The same, as the volume key itself.
    :param data: Where the data are, if the header is detached.
    :param allow_in_use: Read it even while somebody else may be writing it.
    :param unlocking: :class:`Unlocking`.
    :returns: ``sound``, ``problems``, ``notes`` and ``key``, as ``luksmith verify --json`` says them.

    >>> luksmith.verify("disk.img")["sound"]
    True
    """
    options = complete("verify", Unlocking, unlocking, data=data, allow_in_use=allow_in_use)
    return _luksmith.verify(source, passphrase, volume_key, options)
