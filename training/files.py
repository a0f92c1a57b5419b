"""Files that are either whole or not there: written beside their place, then moved onto it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from verify.errors import InvalidInput


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file in the folder of `path`; it takes the place of `path` when the block ends without an error.

    The folder is made if needed. Raises `InvalidInput` when the system refuses."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write(path: str | Path, save: Callable[[Path], object]) -> None:
    """`save(temporary path)`, then the move: for libraries that write files themselves (torch.save, savefig)."""
    with replacing(path) as temporary:
        save(temporary)


def write_bytes(path: str | Path, content: bytes) -> None:
    """The whole file at once."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """The whole file at once, UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: str | Path, content: object) -> None:
    """Indented JSON; numbers that JSON has no word for (NaN, infinity) are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
