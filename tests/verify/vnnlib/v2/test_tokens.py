"""The tokens of every form, and positions that lead back to the text."""

import time

import pytest

from verify.vnnlib.v2.tokens import entries, scan, unescaped


def tokens(text: str) -> list[tuple[str, str]]:
    return [(t.lastgroup, t[t.lastgroup]) for t in scan(text)]


def test_every_form():
    text = '(<= X[0, 3] -1.0e3) ; [comment] "\n [] "a\\"b c" Y'
    assert tokens(text) == [
        ("open", "("), ("word", "<="), ("word", "X"), ("numbers", "0, 3"), ("word", "-1.0e3"), ("close", ")"),
        ("numbers", ""), ("quoted", 'a\\"b c'), ("word", "Y"), ("end", ""),
    ]
    assert all(text[t.start(t.lastgroup):].startswith(t[t.lastgroup]) for t in scan(text))


@pytest.mark.parametrize("text", ['"never closed', "[0,1", "]", '"bad \\x escape"'])
def test_what_is_no_token(text):
    assert ("bad", text[0]) in tokens(text)


def test_inside_of_brackets_and_quotes():
    assert entries(" 0 ,1 ; c\n,2") == ["0", "1", "2"] and entries(" ") == [] and entries("1,,") == ["1", "", ""]
    assert unescaped(r'a\"b\\n\n\t') == 'a"b\\n\n\t'


def test_long_texts_take_linear_time():
    started = time.monotonic()
    assert sum(1 for _ in scan("(assert (<= X[0,0] 1.0))\n" * 20_000)) > 150_000
    assert {t.lastgroup for t in scan(" ;" * 200_000)} == {"end"}
    assert time.monotonic() - started < 5
