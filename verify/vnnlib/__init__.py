"""VNN-LIB 1.0 properties: text -> tokens -> syntax tree -> `verify.query.Spec`."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from verify.errors import InvalidInput
from verify.query import Spec
from verify.vnnlib.lowering import lower_script
from verify.vnnlib.parser import parse

__all__ = ["parse_spec", "read_spec"]

_GZIP_MAGIC = b"\x1f\x8b"


def parse_spec(text: str, source: str = "<text>") -> Spec:
    """The unsafe set that a VNN-LIB 1.0 text describes. `source` names it in messages.

    Raises `InvalidInput` (malformed, unbounded or undeclared variables) or `UnsupportedSpec` (outside the language),
    each naming `source` and the line.
    """
    return lower_script(parse(text, source))


def read_spec(path: str | Path) -> Spec:
    """`parse_spec` of a file; gzip is recognised by its content, not by the name."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot read the property: {error.strerror or error}") from error
    try:
        if data.startswith(_GZIP_MAGIC):
            data = gzip.decompress(data)
        text = data.decode("utf-8-sig")
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInput(f"{path}: truncated or damaged gzip file ({error})") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: not a VNN-LIB text (byte {error.start} is not UTF-8)") from error
    return parse_spec(text, str(path))
