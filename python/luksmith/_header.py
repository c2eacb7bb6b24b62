"""What a header says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luksmith import _luksmith

if TYPE_CHECKING:
    from luksmith._types import Policy, Source


def is_luks(source: Source) -> bool:
    """Whether there is a LUKS header in ``source``, be it damaged or of a kind that is not built.

    Whoever means to write over what is no container can trust it: only what holds neither of the two header copies is none.

    >>> luksmith.is_luks("disk.img")
    True
    >>> luksmith.is_luks(io.BytesIO(bytes(4096)))
    False
    """
    return _luksmith.is_luks(source)


def info(
    source: Source,
    *,
    data: Source | None = None,
    policy: Policy | None = None,
    allow_in_use: bool = False,
) -> dict[str, Any]:
    """What the header says, as ``luksmith inspect --json`` has it. Nothing is unlocked.

    :param source: Where the header is.
    :param data: Where the data are, if the header is detached.
    :param policy: What the header must look like.
    :param allow_in_use: Read it even while somebody else may be writing it.

    >>> header = luksmith.info("disk.img")
    >>> header["type"], header["keyslots"][0]["id"]
    ('luks2', 0)
    """
    return _luksmith.info(source, data=data, policy=policy, allow_in_use=allow_in_use)
