import pathlib
from typing import Any, final

from typing_extensions import Buffer

from luksmith._types import Passphrase, Path, Policy, Progress, Secret, Source

__all__ = [
    "Server",
    "Volume",
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
    "remove_key",
    "serve",
    "test_key",
    "verify",
]

@final
class Volume:
    @property
    def size(self) -> int: ...
    @property
    def sector_size(self) -> int: ...
    @property
    def readonly(self) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def keyslot(self) -> int | None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def is_foreign(self) -> bool: ...
    def report(self) -> dict[str, Any]: ...
    def pread(self, offset: int, bytes: int) -> bytes: ...
    def pread_into(self, offset: int, buffer: Buffer) -> int: ...
    def pwrite(self, offset: int, data: Buffer) -> int: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...

@final
class Server:
    @property
    def place(self) -> pathlib.Path: ...
    @property
    def is_running(self) -> bool: ...
    @property
    def is_foreign(self) -> bool: ...
    def report(self) -> dict[str, Any]: ...
    def close(self) -> None: ...

def is_luks(source: Source) -> bool: ...
def info(source: Source, *, data: Source | None, policy: Policy | None, allow_in_use: bool) -> dict[str, Any]: ...
def open(
    source: Source, passphrase: Passphrase | None, volume_key: Secret | None, options: dict[str, Any]
) -> Volume: ...
def format(
    destination: Path, passphrase: Passphrase, volume_key: Secret | None, options: dict[str, Any]
) -> dict[str, Any]: ...
def encrypt(
    source: Source,
    destination: Path,
    passphrase: Passphrase,
    volume_key: Secret | None,
    options: dict[str, Any],
    progress: Progress | None,
) -> dict[str, Any]: ...
def decrypt(
    source: Source,
    destination: Path,
    passphrase: Passphrase | None,
    volume_key: Secret | None,
    options: dict[str, Any],
    progress: Progress | None,
) -> dict[str, Any]: ...
def clone(
    source: Source,
    destination: Path,
    passphrase: Passphrase | None,
    new_passphrase: Passphrase | None,
    volume_key: Secret | None,
    options: dict[str, Any],
    progress: Progress | None,
) -> dict[str, Any]: ...
def measure(source: Source | None, options: dict[str, Any]) -> dict[str, Any]: ...
def add_key(
    image: Path | int,
    passphrase: Passphrase | None,
    new_passphrase: Passphrase,
    volume_key: Secret | None,
    options: dict[str, Any],
) -> dict[str, Any]: ...
def change_key(
    image: Path | int,
    passphrase: Passphrase | None,
    new_passphrase: Passphrase,
    volume_key: Secret | None,
    options: dict[str, Any],
) -> dict[str, Any]: ...
def remove_key(
    image: Path | int, passphrase: Passphrase | None, volume_key: Secret | None, options: dict[str, Any]
) -> dict[str, Any]: ...
def test_key(
    source: Source, passphrase: Passphrase | None, volume_key: Secret | None, options: dict[str, Any]
) -> dict[str, Any]: ...
def verify(
    source: Source, passphrase: Passphrase | None, volume_key: Secret | None, options: dict[str, Any]
) -> dict[str, Any]: ...
def serve(
    source: Source, passphrase: Passphrase | None, volume_key: Secret | None, options: dict[str, Any], socket: Path
) -> Server: ...
def mount(
    source: Source,
    target: Path,
    passphrase: Passphrase | None,
    volume_key: Secret | None,
    options: dict[str, Any],
    allow_other: bool,
) -> Server: ...
