"""VNN-LIB properties: text -> tokens -> syntax tree -> `verify.query.Spec`.

A text that begins with `(vnnlib-version <2.0>)` is VNN-LIB 2.0 (`verify.vnnlib.v2`), any other 1.0.
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from verify.errors import InvalidInput
from verify.query import Spec
from verify.vnnlib.lowering import lower_script
from verify.vnnlib.parser import parse
from verify.vnnlib.v2.parser import parse as parse_standard
from verify.vnnlib.v2.resolve import resolve

__all__ = ["parse_spec", "read_spec"]

_STANDARD = re.compile(r"(?:\s|;[^\r\n]*)*+\(\s*(?:vnnlib-version(?!\s*<?1\.)|declare-network)\b")
_GZIP_MAGIC = b"\x1f\x8b"


def parse_spec(text: str, source: str = "<text>") -> Spec:
    """The unsafe set that a VNN-LIB text describes. `source` names it in messages.

    Raises `InvalidInput` (malformed, unbounded or undeclared variables) or `UnsupportedSpec` (outside the language),
    each naming `source` and the line.
    """
    if _STANDARD.match(text):
        return resolve(parse_standard(text, source))
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
