"""LUKS1, LUKS2 and dm-crypt in userspace: no root, no device-mapper.

A *source* is a path, a file descriptor, or any seekable binary file object, which is only read. A *passphrase* is bytes, a
str (its bytes in UTF-8) or a function without arguments that gives one; it is called once it is known that the job can run.
Passphrases and keys are wiped here when they are done with; the objects that they were handed over in are Python's.

Derivations and transfers run without the interpreter's lock. Ctrl-C ends them. Nothing here is asynchronous: in asyncio,
``await asyncio.to_thread(luksmith.open, ...)`` does what is wanted.
"""

from __future__ import annotations

from luksmith._file import File, open
from luksmith._header import info, is_luks
from luksmith._images import clone, decrypt, encrypt, format, measure
from luksmith._keys import add_key, change_key, remove_key, test_key, verify
from luksmith._options import NewContainer, NewKeyslot, Unlocking
from luksmith._secrets import passphrase_from_secret
from luksmith._serve import Mount, Server, mount, serve
from luksmith.errors import (
    BusyError,
    CancelledError,
    CorruptError,
    InvalidOptionError,
    LuksmithError,
    LuksmithWarning,
    NoKeyFitsError,
    NotLuksError,
    PolicyError,
    TooCostlyError,
    UnsupportedError,
)

__all__ = [
    "BusyError",
    "CancelledError",
    "CorruptError",
    "File",
    "InvalidOptionError",
    "LuksmithError",
    "LuksmithWarning",
    "Mount",
    "NewContainer",
    "NewKeyslot",
    "NoKeyFitsError",
    "NotLuksError",
    "PolicyError",
    "Server",
    "TooCostlyError",
    "Unlocking",
    "UnsupportedError",
    "add_key",
    "change_key",
    "clone",
    "decrypt",
    "encrypt",
    "format",
    "info",
    "is_luks",
    "measure",
    "mount",
    "open",
    "passphrase_from_secret",
    "remove_key",
    "serve",
    "test_key",
    "verify",
]
