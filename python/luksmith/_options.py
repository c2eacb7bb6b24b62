"""Options that several functions have, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from luksmith._types import Policy

__all__ = ["NewContainer", "NewKeyslot", "Unlocking"]


class Unlocking(TypedDict, total=False):
    """How a container is unlocked."""

    key_slot: int | None
    """The only keyslot to try."""
    max_time: float | None
    """Seconds that the key derivation of one keyslot may take, 60 unless said."""
    max_memory_kib: int | None
    """Memory that it may take; what suits this machine unless said."""
    policy: Policy | None
    """What the header must look like: a policy's file, ``builtin:`` and the name of one, or several."""


class NewKeyslot(TypedDict, total=False):
    """What a new keyslot costs to guess. What is not said is as cryptsetup has it; without iterations that is measured."""

    pbkdf: Literal["pbkdf2", "argon2i", "argon2id"] | None
    """The key derivation: Argon2id unless said, in LUKS1 PBKDF2."""
    pbkdf_time: float | None
    """Seconds that unlocking shall take on this machine, two unless said."""
    pbkdf_memory_kib: int | None
    """Most memory of Argon2."""
    pbkdf_lanes: int | None
    """Lanes of Argon2."""
    pbkdf_iterations: int | None
    """Iterations of PBKDF2 or passes of Argon2: nothing is measured then."""
    hash: str | None
    """The hash of the key derivation."""


class NewContainer(NewKeyslot, total=False):
    """What a new container is to be. What is not said is as cryptsetup has it."""

    type: Literal["luks1", "luks2"] | None
    """``luks2`` unless said."""
    cipher: str | None
    """Cipher specification, such as ``aes-xts-plain64``."""
    key_size: int | None
    """Bits of the volume key."""
    sector_size: int | None
    """Bytes that are encrypted as one."""
    label: str | None
    subsystem: str | None
    uuid: str | None
    metadata_size: int | None
    """Bytes of one header copy (LUKS2)."""
    keyslots_size: int | None
    """Bytes of the keyslots area (LUKS2)."""


class UnlockingAndKeyslot(Unlocking, NewKeyslot, total=False):
    """Both."""


class UnlockingAndContainer(Unlocking, NewContainer, total=False):
    """Both."""


_UNLOCKING = ("key_slot", "max_time", "max_memory_kib", "policy")
_KEYSLOT = ("pbkdf", "pbkdf_time", "pbkdf_memory_kib", "pbkdf_lanes", "pbkdf_iterations", "hash")
_CONTAINER = (
    *_KEYSLOT,
    *("type", "cipher", "key_size", "sector_size", "label", "subsystem", "uuid", "metadata_size", "keyslots_size"),
)
_NAMES = {
    Unlocking: _UNLOCKING,
    NewKeyslot: _KEYSLOT,
    NewContainer: _CONTAINER,
    UnlockingAndKeyslot: (*_UNLOCKING, *_KEYSLOT),
    UnlockingAndContainer: (*_UNLOCKING, *_CONTAINER),
}
_SECONDS = ("max_time", "pbkdf_time")
_NUMBERS = {
    **dict.fromkeys(("key_slot", "key_size", "sector_size", "pbkdf_memory_kib", "pbkdf_lanes", "pbkdf_iterations"), 32),
    **dict.fromkeys(("max_memory_kib", "metadata_size", "keyslots_size", "threads"), 64),
}


def complete(function: str, kind: type, said: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """All options of a kind, those that were not said as None, with others."""
    names = _NAMES[kind]
    for name in said:
        if name not in names:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    options = {name: said.get(name) for name in names}
    for name in _SECONDS:
        seconds = options.get(name)
        if seconds is not None:
            if seconds < 0:
                raise ValueError(f"{name} {seconds} is negative")
            options[name] = timedelta(seconds=seconds)
    options.update(others)
    for name, bits in _NUMBERS.items():
        number = options.get(name)
        if isinstance(number, int) and not 0 <= number < 1 << bits:
            raise OverflowError(f"{name} {number} is no number of {bits} bits")
    if options.get("threads") == 0:
        raise ValueError("threads is 0")
    return options


def check_key(passphrase: object, volume_key: object) -> None:
    """Refuse to open what nothing is there to open with."""
    if passphrase is None and volume_key is None:
        raise TypeError("a passphrase or a volume key is needed")
