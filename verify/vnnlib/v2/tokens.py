"""Lexical structure of VNN-LIB 2.0: parentheses, numbers in brackets, words, quoted names, `;` comments.

Brackets with what they hold, `[0,3]`, are one token: indices behind a variable, or a shape. Every other run of
characters is a word, and what a word may be is the parser's business: so a number with an exponent is refused as one,
not as a syntax error in its middle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
VERSION = re.compile(r"<([0-9]+)\.([0-9]+)>")

_TOKEN = re.compile(
    r"(?:\s++|;[^\r\n]*+)*+(?:"
    r"(?P<open>\()|(?P<close>\))"
    r"|\[(?P<numbers>[^\[\]()\"]*)\]"
    r'|"(?P<quoted>(?:[^"\\]|\\["\\nt])*)"'
    r'|(?P<word>[^\s();"\[\]]+)'
    r"|(?P<end>\Z)|(?P<bad>.))"
)
_ESCAPE = re.compile(r"\\(.)")
_COMMENT = re.compile(r";[^\r\n]*")


def scan(text: str) -> Iterator[re.Match[str]]:
    """The tokens of `text` in order; `lastgroup` is open, close, numbers, quoted, word, end or bad."""
    return _TOKEN.finditer(text)


def entries(inside: str) -> list[str]:
    """The comma-separated entries between brackets; none for an empty pair."""
    inside = _COMMENT.sub("", inside).strip()
    return [part.strip() for part in inside.split(",")] if inside else []


def unescaped(quoted: str) -> str:
    r"""The name between quotes: \" \\ \n \t stand for one character each."""
    return _ESCAPE.sub(lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), quoted)
