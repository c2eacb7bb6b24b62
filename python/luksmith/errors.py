"""What can go wrong, by whom it is to blame on. What the system refuses is an OSError with its errno."""

from __future__ import annotations

__all__ = [
    "BusyError",
    "CancelledError",
    "CorruptError",
    "InvalidOptionError",
    "LuksmithError",
    "LuksmithWarning",
    "NoKeyFitsError",
    "NotLuksError",
    "PolicyError",
    "TooCostlyError",
    "UnsupportedError",
]


class LuksmithError(Exception):
    """Whatever this package refuses, apart from what the system does (OSError) and wrong types (TypeError)."""


class NotLuksError(LuksmithError):
    """There is no LUKS header."""


class CorruptError(LuksmithError):
    """An image is damaged, or cut off."""


class UnsupportedError(LuksmithError):
    """A header is sound, and asks for something that is not built."""


class NoKeyFitsError(LuksmithError):
    """No keyslot opens with the passphrase, or the volume key is another one."""


class TooCostlyError(LuksmithError):
    """A keyslot asks for more time or memory than is allowed, and no other one fits."""

    need: int | None
    """What it asks for, in :attr:`unit`."""
    limit: int | None
    """What is allowed."""
    unit: str
    """``KiB`` of memory, ``lanes``, ``times the work`` of one derivation, or ``keyslots`` of the highest cost."""

    def __init__(self, text: str = "", need: int | None = None, limit: int | None = None, unit: str = "") -> None:
        super().__init__(text)
        self.need = need
        self.limit = limit
        self.unit = unit


class BusyError(LuksmithError):
    """Somebody else uses the image, or has changed it meanwhile."""


class CancelledError(LuksmithError):
    """The job was ended."""


class PolicyError(LuksmithError):
    """Something is refused unless it is allowed: what a policy forbids, what encrypts nothing, what is too weak."""


class InvalidOptionError(LuksmithError):
    """What was asked for cannot be done."""


class LuksmithWarning(UserWarning):
    """Something is not as it should be, and the job went on."""
