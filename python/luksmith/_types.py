"""What functions of this package take."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, Union

if TYPE_CHECKING:
    from typing_extensions import Buffer


class BinaryFile(Protocol):
    """A seekable binary file object."""

    def seek(self, offset: int, whence: int = ..., /) -> object: ...

    def read(self, size: int = ..., /) -> bytes: ...


Path = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]
Source = Union[str, bytes, os.PathLike[str], os.PathLike[bytes], int, BinaryFile]
Secret = Union[str, "Buffer"]
Passphrase = Union[str, "Buffer", Callable[[], Union[str, "Buffer"]]]
Policy = Union[Path, Sequence[Path]]
Progress = Callable[[int, Union[int, None]], object]
