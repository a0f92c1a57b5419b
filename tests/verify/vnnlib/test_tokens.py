"""Tokens: comparisons of plain operands in one piece, comments and line ends skipped, nothing lost."""

from verify.vnnlib.tokens import line_of, scan

KINDS = {"right": "compare", "name": "declare", "open": "(", "close": ")", "symbol": "symbol", "bad": "bad"}


def kinds(text: str) -> list[str]:
    return [KINDS[token.lastgroup] for token in scan(text) if token.lastgroup != "end"]


def test_plain_comparison_is_one_token():
    assert kinds("(or (<= X_0 -1.5e-3))") == ["(", "symbol", "compare", ")"]
    token = next(t for t in scan("( >=  Y_1\tY_0 )") if t.lastgroup == "right")
    assert (token["compare"], token["left"], token["right"]) == (">=", "Y_1", "Y_0")


def test_whole_statements_are_one_token():
    (token, _) = scan("(assert\n(<= X_0 1) )")
    assert token["assert"] and token["left"] == "X_0" and token.start("compare") == 9
    assert kinds("(declare-const X_12 Real)") == ["declare"]
    assert kinds("(assert (<= X_0 1) 2)") == ["(", "symbol", "compare", "symbol", ")"]
    assert kinds("(declare-const X_1 Int)") == ["(", "symbol", "symbol", "symbol", ")"]
    assert kinds("(assert (<= X_0 1)") == ["(", "symbol", "compare"]


def test_other_comparisons_are_taken_apart():
    for text in ("(<= X_0 (- 1))", "(<= X_00 1)", "(<= X_0 1 2)", "(<= X_0 nan)", "(<= X_0 1e123456)", "(<=X_0 1)"):
        assert "compare" not in kinds(text), text


def test_comments_and_line_ends_are_skipped():
    assert kinds("; (a\r\n ;b\n( ; c)\r\n) ;") == ["(", ")"]


def test_quoted_words_hide_parentheses_and_an_open_quote_is_bad():
    assert kinds('("a ( ; b" |c )|)') == ["(", "symbol", "symbol", ")"]
    assert "bad" in kinds('("open)')


def test_long_blank_input_is_linear():
    assert kinds(" \n;x\n" * 50_000) == []


def test_line_numbers_start_at_one():
    assert line_of("a\nb\r\nc", 0) == 1
    assert line_of("a\nb\r\nc", 5) == 3
