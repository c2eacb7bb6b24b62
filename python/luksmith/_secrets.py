"""The passphrase that OpenStack makes of a secret."""

from __future__ import annotations

from typing import Protocol


class _Secret(Protocol):
    """A managed object of castellan, as far as it matters here."""

    @classmethod
    def managed_type(cls) -> str: ...

    def get_encoded(self) -> bytes | str | None: ...


def passphrase_from_secret(secret: _Secret) -> str:
    """The passphrase that Cinder, Nova and os-brick make of a secret of castellan's, of any type.

    A secret of the type passphrase is the passphrase, which has to be UTF-8; of every other type it is the lower-case
    hexadecimal digits of its bytes. Text counts as its bytes in UTF-8, as some key managers give it.

    >>> class Key:
    ...     def managed_type(self): return "symmetric"
    ...     def get_encoded(self): return bytes.fromhex("07AF")
    >>> luksmith.passphrase_from_secret(Key())
    '07af'
    """
    try:
        kind, encoded = secret.managed_type(), secret.get_encoded()
    except AttributeError:
        raise TypeError(f"{type(secret).__name__} is no secret of castellan's") from None
    if isinstance(encoded, str):
        encoded = encoded.encode("utf-8", "surrogatepass")
    if not isinstance(encoded, (bytes, bytearray, memoryview)):
        raise ValueError("the secret has no payload")
    if kind != "passphrase":
        return bytes(encoded).hex()
    try:
        return bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        # Python's own exception has the bytes in it.
        raise ValueError("the secret is of the type passphrase, and not UTF-8") from None
