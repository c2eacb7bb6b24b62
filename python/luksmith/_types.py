"""What functions of this package take."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer
else:
    Buffer = object


class BinaryFile(Protocol):
    """A seekable binary file object."""

    def seek(self, offset: int, whence: int = ..., /) -> object: ...

    def read(self, size: int = ..., /) -> bytes: ...


Path: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
Source: TypeAlias = "Path | int | BinaryFile"
Secret: TypeAlias = "str | Buffer"
Passphrase: TypeAlias = "Secret | Callable[[], Secret]"
Policy: TypeAlias = "Path | Sequence[Path]"
Progress: TypeAlias = "Callable[[int, int | None], object]"
