"""VNN-LIB 1.0 text -> syntax tree.

Grammar (de facto; the competition's reader accepts the first comparison form and one or/and layer only):

    statement := (declare-const V Real) | (declare-fun V () Real) | (assert formula) | SMT-LIB housekeeping, ignored
    formula   := (and formula+) | (or formula+) | (CMP term term)        CMP := <= | < | >= | > | = | ==
    term      := V | number | (+ term+) | (- term+) | (* term+)          V   := X_i | Y_i

Every tree node keeps its character position `at`, from which messages derive the line. Numbers stay exact decimals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, NoReturn

from verify.errors import InvalidInput, UnsupportedSpec, VerifyError
from verify.vnnlib.tokens import NUMBER, VARIABLE, line_of, scan
from verify.vnnlib.tree import Arithmetic, Comparison, Constant, Formula, Junction, Term, Text, Variable

MAX_DEPTH = 200
COMPARISONS = frozenset({"<=", "<", ">=", ">", "=", "=="})
_IGNORED = frozenset({"set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit"})
_VERSION_2 = frozenset({"declare-network", "declare-input", "declare-output", "declare-hidden"})


@dataclass(frozen=True, eq=False)
class Script(Text):
    """A parsed file: where each variable is declared, and the assertions (all of them hold at a counterexample)."""

    declared: dict[tuple[str, int], int]
    asserts: tuple[Formula, ...]


class _Symbol(NamedTuple):
    text: str
    at: int


class _Group(NamedTuple):
    """A parenthesised list that has not been given a meaning yet."""

    items: list
    at: int


def parse(text: str, source: str) -> Script:
    """Parse a whole file. Raises `InvalidInput` or `UnsupportedSpec`, naming `source` and the line."""
    return _Parser(text, source).run()


class _Parser:
    """One pass over the tokens; the state is the declarations and assertions found so far."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source
        self.declared: dict[tuple[str, int], int] = {}
        self.asserts: list[Formula] = []

    def fail(self, at: int, message: str, error: type[VerifyError] = InvalidInput) -> NoReturn:
        raise error(f"{self.source}:{line_of(self.text, at)}: {message}")

    def run(self) -> Script:
        stack: list[_Group] = []
        for token in scan(self.text):
            kind = token.lastgroup
            if kind == "right":
                self.comparison(token, stack)
            elif kind == "name":
                if stack:
                    self.fail(token.start("name"), "a declaration inside another statement; is a ')' missing?")
                self.declare(token["name"], "Real", token.start("name"))
            elif kind == "open":
                if len(stack) >= MAX_DEPTH:
                    self.fail(token.start("open"), f"nested deeper than {MAX_DEPTH} parentheses", UnsupportedSpec)
                stack.append(_Group([], token.start("open")))
            elif kind == "close":
                if not stack:
                    self.fail(token.start("close"), "a closing parenthesis without an opening one")
                group = stack.pop()
                if stack:
                    stack[-1].items.append(group)
                else:
                    self.statement(group)
            elif kind == "symbol":
                if not stack:
                    self.fail(token.start("symbol"), f"{token['symbol'][:40]!r} outside a statement; expected '('")
                stack[-1].items.append(_Symbol(token["symbol"], token.start("symbol")))
            elif kind == "bad":
                self.fail(token.start("bad"), f"unexpected character or unclosed quote {token['bad']!r}")
        if stack:
            self.fail(stack[0].at, "the parenthesis opened here is never closed")
        return Script(self.source, self.text, self.declared, tuple(self.asserts))

    def comparison(self, token: re.Match[str], stack: list[_Group]) -> None:
        """A comparison of plain operands: a whole assertion, or part of the statement on the stack."""
        whole, op, left, right = token.group("assert", "compare", "left", "right")
        at = token.start("compare")
        found = Comparison(op, self.operand(left, at), self.operand(right, at), at)
        if bool(whole) != (not stack):
            inside = "an assert inside another statement; is a ')' missing?"
            self.fail(at, inside if whole else "a comparison outside (assert ...)")
        (stack[-1].items if stack else self.asserts).append(found)

    def operand(self, word: str, at: int) -> Constant | Variable:
        """A word that is known to be a variable or a number."""
        if word[0] in "XY":
            return Variable(word[0], int(word[2:]), at)
        if float(word) in (float("inf"), float("-inf")):
            self.fail(at, f"the number {word[:40]} does not fit into float64")
        return Constant(Decimal(word), at)

    def statement(self, group: _Group) -> None:
        head = group.items[0] if group.items else None
        if not isinstance(head, _Symbol):
            self.fail(group.at, "expected (declare-const ...) or (assert ...)")
        rest = group.items[1:]
        if head.text == "assert":
            if len(rest) != 1:
                self.fail(group.at, f"assert takes one condition, found {len(rest)}")
            self.asserts.append(self.formula(rest[0]))
        elif head.text in ("declare-const", "declare-fun"):
            self.declaration(head.text, rest, group.at)
        elif head.text == "vnnlib-version" or head.text in _VERSION_2:
            self.version(head.text, rest, group.at)
        elif head.text not in _IGNORED:
            self.fail(group.at, f"unknown statement {head.text!r}; accepted: declare-const, declare-fun, assert")

    def version(self, head: str, rest: list, at: int) -> None:
        """A 1.x header is harmless; declarations of networks belong to VNN-LIB 2.0, whose header comes first."""
        named = head == "vnnlib-version" and len(rest) == 1 and isinstance(rest[0], _Symbol)
        if not named or not rest[0].text.strip("<>").startswith("1."):
            what = f"({head} ...)" if head != "vnnlib-version" else "another version"
            self.fail(at, f"{what} in a text of VNN-LIB 1.0; a text of 2.0 begins with (vnnlib-version <2.0>)",
                      UnsupportedSpec)

    def declaration(self, head: str, rest: list, at: int) -> None:
        if head == "declare-fun" and len(rest) == 3 and _is_empty(rest[1]):
            rest = [rest[0], rest[2]]
        if len(rest) != 2 or not all(isinstance(word, _Symbol) for word in rest):
            self.fail(at, f"cannot read this {head}; expected (declare-const X_0 Real)")
        self.declare(rest[0].text, rest[1].text, at)

    def declare(self, name: str, kind: str, at: int) -> None:
        if not VARIABLE.fullmatch(name):
            self.fail(at, f"cannot declare {name[:40]!r}; variables are named X_0, X_1, ... and Y_0, Y_1, ...")
        if kind != "Real":
            self.fail(at, f"{name} is declared as {kind[:40]!r}; only Real is supported", UnsupportedSpec)
        key = (name[0], int(name[2:]))
        if key in self.declared:
            self.fail(at, f"{name} is declared twice")
        self.declared[key] = at

    def formula(self, item) -> Formula:
        if isinstance(item, Comparison):
            return item
        if isinstance(item, _Symbol) or not item.items or not isinstance(item.items[0], _Symbol):
            self.fail(item.at, "expected a condition such as (<= X_0 1.0), (and ...) or (or ...)")
        head, args = item.items[0].text, item.items[1:]
        if head in ("and", "or"):
            if not args:
                self.fail(item.at, f"({head}) needs at least one condition")
            return Junction(head, tuple(self.formula(arg) for arg in args), item.at)
        if head not in COMPARISONS:
            accepted = "and, or, <=, <, >=, >, =, =="
            self.fail(item.at, f"unknown operator {head[:40]!r}; accepted: {accepted}", UnsupportedSpec)
        if len(args) != 2:
            self.fail(item.at, f"{head} compares two terms, found {len(args)}")
        return Comparison(head, self.term(args[0]), self.term(args[1]), item.at)

    def term(self, item) -> Term:
        if isinstance(item, _Symbol):
            if VARIABLE.fullmatch(item.text) or NUMBER.fullmatch(item.text):
                return self.operand(item.text, item.at)
            self.fail(item.at, f"{item.text[:40]!r} is neither a number nor a variable X_i or Y_i")
        if isinstance(item, Comparison):
            self.fail(item.at, f"a comparison {item.op!r} where a number or a term is needed")
        if not item.items or not isinstance(item.items[0], _Symbol):
            self.fail(item.at, "expected a term: a variable, a number, (+ ...), (- ...) or (* ...)")
        head, args = item.items[0].text, item.items[1:]
        if head not in ("+", "-", "*"):
            self.fail(item.at, f"unknown operator {head[:40]!r} in a term; accepted: +, -, *", UnsupportedSpec)
        if not args:
            self.fail(item.at, f"({head}) needs at least one term")
        return Arithmetic(head, tuple(self.term(arg) for arg in args), item.at)


def _is_empty(item) -> bool:
    return isinstance(item, _Group) and not item.items
