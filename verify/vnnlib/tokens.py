"""Lexical structure of VNN-LIB 1.0, an SMT-LIB dialect: parentheses, symbols, `;` comments.

One compiled pattern does all the work. Three frequent forms are one token each: a comparison of two plain operands,
`(<= X_3 0.25)` or `(>= Y_0 Y_1)`; a whole `(assert ...)` of one; a whole `(declare-const X_3 Real)`. Files consist of
little else (9,000 of them for a CIFAR picture), and so the fast path needs no second parser. Written any other way,
with a comment inside say, the same statement arrives in small tokens and means the same.
All repetitions before a token are possessive, which keeps the scan linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# At most five exponent digits: anything longer is no float64 number, and its exact value would not fit into memory.
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?"
_VARIABLE = r"[XY]_(?:0|[1-9][0-9]{0,8})"

NUMBER = re.compile(_NUMBER)
VARIABLE = re.compile(_VARIABLE)

_TOKEN = re.compile(
    r"(?:\s++|;[^\r\n]*+)*+(?:"
    rf"(?P<assert>\(\s*assert\s*)?\(\s*(?P<compare>[<>]=?|==?)\s+(?P<left>{_VARIABLE}|{_NUMBER})\s+(?P<right>{_VARIABLE}|{_NUMBER})\s*\)"
    r"(?(assert)\s*\))"
    rf"|\(\s*declare-const\s+(?P<name>{_VARIABLE})\s+Real\s*\)"
    r"|(?P<open>\()|(?P<close>\))"
    r'|(?P<symbol>[^\s();"|]+|"[^"]*"|\|[^|]*\|)'
    r"|(?P<end>\Z)|(?P<bad>.))"
)


def scan(text: str) -> Iterator[re.Match[str]]:
    """The tokens of `text` in order.

    `lastgroup` is right (a comparison; with group `assert` a whole assertion), name (a whole declaration), open, close,
    symbol, end or bad.
    """
    return _TOKEN.finditer(text)


def line_of(text: str, offset: int) -> int:
    """Line number, from 1, of a character position."""
    return text.count("\n", 0, offset) + 1
