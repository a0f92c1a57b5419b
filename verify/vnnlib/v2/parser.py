"""VNN-LIB 2.0 text -> declarations and assertions.

Grammar (`syntax/grammar.cf` of the standard), statements in this order:

    (vnnlib-version <2.m>)
    (declare-network NAME [(equal-to NAME) | (isomorphic-to NAME)] input+ hidden* output+)   one or more
        input  := (declare-input  NAME TYPE [d, ...])       output := (declare-output NAME TYPE [d, ...])
        hidden := (declare-hidden NAME TYPE [d, ...] "value in the model")
    (assert formula)                                                                          one or more
    formula := (and formula+) | (or formula+) | (CMP term term)          CMP := < | <= | > | >= | == | !=
    term    := NAME | NAME[i, ...] | number | (+ term+) | (- term+) | (* term+)
    number  := -?digits | -?digits.digits
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import NamedTuple, NoReturn

from verify.errors import InvalidInput, UnsupportedSpec, VerifyError
from verify.interface import HIDDEN, INPUT, OUTPUT, Declaration, Tensor
from verify.vnnlib.tokens import line_of
from verify.vnnlib.tree import Arithmetic, Comparison, Formula, Junction
from verify.vnnlib.v2.tokens import NAME, NUMBER, VERSION, entries, scan, unescaped
from verify.vnnlib.v2.tree import Element, Literal, Script

MAX_DEPTH = 200
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
ROLE_OF = MappingProxyType({"declare-input": INPUT, "declare-hidden": HIDDEN, "declare-output": OUTPUT})
RESERVED = frozenset({"and", "or", "initialized", "assert"})
HINTS = MappingProxyType({
    "=": "equality is written ==", "not": "there is no negation; write the opposite comparison",
    "=>": "there is no implication; write (or ...) of the negated premise and the conclusion",
    "/": "there is no division; multiply by the reciprocal",
})


class _Word(NamedTuple):
    text: str
    at: int


class _Brackets(NamedTuple):
    entries: list[str]
    at: int


class _Quoted(NamedTuple):
    text: str
    at: int


class _Group(NamedTuple):
    """A parenthesised list that has not been given a meaning yet."""

    items: list
    at: int

    @property
    def head(self) -> str:
        return self.items[0].text if self.items and isinstance(self.items[0], _Word) else ""


def parse(text: str, source: str) -> Script:
    """Parse a whole file. Raises `InvalidInput` or `UnsupportedSpec`, naming `source` and the line."""
    return _Parser(text, source).run()


class _Parser:
    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source

    def fail(self, at: int, message: str, error: type[VerifyError] = InvalidInput) -> NoReturn:
        raise error(f"{self.place(at)}: {message}")

    def place(self, at: int) -> str:
        return f"{self.source}:{line_of(self.text, at)}"

    def run(self) -> Script:
        networks: list[Declaration] = []
        asserts: list[Formula] = []
        statements = self.statements()
        self.version(next(statements, None))
        for group in statements:
            if group.head == "declare-network":
                if asserts:
                    self.fail(group.at, "a network is declared behind an assertion; all networks come first")
                networks.append(self.network(group))
            elif group.head == "assert":
                if not networks:
                    self.fail(group.at, "an assertion before any network is declared")
                if len(group.items) != 2:
                    self.fail(group.at, f"assert takes one condition, found {len(group.items) - 1}")
                asserts.append(self.formula(group.items[1]))
            else:
                self.unknown(group)
        end = len(self.text)
        if not networks:
            self.fail(end, "no network is declared; expected (declare-network ...)")
        if not asserts:
            self.fail(end, "nothing is asserted; expected at least one (assert ...)")
        return Script(self.source, self.text, tuple(networks), tuple(asserts))

    def statements(self) -> Iterator[_Group]:
        """The parenthesised statements of the text."""
        stack: list[_Group] = []
        for token in scan(self.text):
            kind, at = token.lastgroup, token.start(token.lastgroup)
            if kind == "open":
                if len(stack) >= MAX_DEPTH:
                    self.fail(at, f"nested deeper than {MAX_DEPTH} parentheses", UnsupportedSpec)
                stack.append(_Group([], at))
            elif kind == "close":
                if not stack:
                    self.fail(at, "a closing parenthesis without an opening one")
                group = stack.pop()
                if stack:
                    stack[-1].items.append(group)
                else:
                    yield group
            elif kind == "bad":
                self.fail(at, f"unexpected character, or an unclosed bracket or quote: {token['bad']!r}")
            elif kind != "end":
                if not stack:
                    self.fail(at, f"{token[kind][:40]!r} outside a statement; expected '('")
                stack[-1].items.append(self.leaf(kind, token[kind], at))
        if stack:
            self.fail(stack[0].at, "the parenthesis opened here is never closed")

    @staticmethod
    def leaf(kind: str, text: str, at: int) -> _Word | _Brackets | _Quoted:
        if kind == "numbers":
            return _Brackets(entries(text), at)
        return _Quoted(unescaped(text), at) if kind == "quoted" else _Word(text, at)

    def version(self, group: _Group | None) -> None:
        if group is None or group.head != "vnnlib-version":
            self.fail(group.at if group else 0, "the first statement must be (vnnlib-version <2.0>)")
        named = len(group.items) == 2 and isinstance(group.items[1], _Word)
        match = VERSION.fullmatch(group.items[1].text) if named else None
        if match is None:
            self.fail(group.at, "cannot read the version; expected (vnnlib-version <2.0>)")
        if int(match[1]) != 2:
            self.fail(group.at, f"VNN-LIB {match[1]}.{match[2]} is not supported; accepted: 1.0 and 2.0",
                      UnsupportedSpec)

    def unknown(self, group: _Group) -> NoReturn:
        if group.head == "vnnlib-version":
            self.fail(group.at, "the version is stated twice")
        if group.head in ROLE_OF:
            self.fail(group.at, f"{group.head} outside (declare-network ...)")
        if group.head in ("declare-const", "declare-fun"):
            self.fail(group.at, f"{group.head} belongs to VNN-LIB 1.0; a 2.0 text declares networks")
        what = f"unknown statement {group.head[:40]!r}" if group.head else "a statement without a name"
        self.fail(group.at, f"{what}; accepted: declare-network, assert")

    def network(self, group: _Group) -> Declaration:
        """(declare-network NAME equivalence? inputs hidden outputs)"""
        parts = group.items[1:]
        if not parts:
            self.fail(group.at, "expected (declare-network NAME ...)")
        name = self.name(parts[0], "network")
        same: dict[str, str] = {}
        tensors: list[Tensor] = []
        for part in parts[1:]:
            if not isinstance(part, _Group) or part.head not in ("equal-to", "isomorphic-to", *ROLE_OF):
                self.fail(part.at, "expected (equal-to ...), (isomorphic-to ...), (declare-input ...), "
                          "(declare-hidden ...) or (declare-output ...)")
            if part.head in ROLE_OF:
                tensors.append(self.tensor(part, tensors))
                continue
            if tensors:
                self.fail(part.at, f"{part.head} comes before the declarations of a network")
            if same:
                self.fail(part.at, f"network {name} has a second equal-to or isomorphic-to; one is allowed")
            if len(part.items) != 2:
                self.fail(part.at, f"expected ({part.head} NAME)")
            same[part.head] = self.name(part.items[1], "network")
        for role in (INPUT, OUTPUT):
            if not any(tensor.role == role for tensor in tensors):
                self.fail(group.at, f"network {name} declares no {role}; one at least is needed")
        return Declaration(name, tuple(tensors), same.get("equal-to"), same.get("isomorphic-to"), self.place(group.at))

    def tensor(self, group: _Group, before: list[Tensor]) -> Tensor:
        role, words = ROLE_OF[group.head], group.items[1:]
        order = (INPUT, HIDDEN, OUTPUT)
        if before and order.index(before[-1].role) > order.index(role):
            self.fail(group.at, f"an {role} declared behind an {before[-1].role}: inputs come first, then hidden "
                      "tensors, then outputs".replace("an hidden", "a hidden"))
        if any(isinstance(word, _Word) and word.text == "initialized" for word in words):
            self.fail(group.at, "'initialized' inputs are not supported: constrain the input to its default value",
                      UnsupportedSpec)
        expected = (_Word, _Word, _Brackets) + ((_Quoted,) if role == HIDDEN else ())
        if len(words) != len(expected) or not all(map(isinstance, words, expected)):
            quoted = ' "value in the model"' if role == HIDDEN else ""
            self.fail(group.at, f"expected ({group.head} NAME TYPE [d, ...]{quoted})")
        name, dtype = self.name(words[0], "variable"), self.name(words[1], "type")
        shape = tuple(self.integer(entry, words[2].at, "a dimension", 1) for entry in words[2].entries)
        onnx = words[3].text if role == HIDDEN else ""
        return Tensor(name, role, dtype, shape, onnx, self.place(group.at))

    def name(self, item, what: str) -> str:
        if not isinstance(item, _Word) or not NAME.fullmatch(item.text) or item.text in RESERVED:
            found = repr(item.text[:40]) if isinstance(item, (_Word, _Quoted)) else "something else"
            self.fail(item.at, f"expected the name of a {what} (a letter, then letters, digits and _), found {found}")
        return item.text

    def integer(self, text: str, at: int, what: str, least: int) -> int:
        if not (text.isascii() and text.isdecimal()) or int(text) < least:
            self.fail(at, f"{what} is an integer of at least {least}, found {text[:40]!r}")
        return int(text)

    def formula(self, item) -> Formula:
        if not isinstance(item, _Group) or not item.head:
            self.fail(item.at, "expected a condition such as (<= X[0] 1.0), (and ...) or (or ...)")
        head, at, args = item.head, item.at, item.items[1:]
        if head in ("and", "or"):
            if not args:
                self.fail(at, f"({head}) needs at least one condition")
            return Junction(head, tuple(self.formula(arg) for arg in args), at)
        if head not in COMPARISONS:
            hint = f" ({HINTS[head]})" if head in HINTS else ""
            self.fail(at, f"unknown operator {head[:40]!r}{hint}; accepted: and, or, {', '.join(COMPARISONS)}",
                      UnsupportedSpec)
        terms = self.terms(args)
        if len(terms) != 2:
            self.fail(at, f"{head} compares two terms, found {len(terms)}")
        return Comparison(head, *terms, at)

    def terms(self, items: Iterable) -> list:
        """Terms; brackets belong to the word before them."""
        found: list = []
        for item in items:
            if isinstance(item, _Brackets):
                self.subscript(item, found)
            elif isinstance(item, _Word):
                found.append(self.word(item))
            elif isinstance(item, _Quoted):
                self.fail(item.at, f"a quoted name {item.text[:40]!r} where a term is needed")
            else:
                found.append(self.arithmetic(item))
        return found

    def subscript(self, item: _Brackets, found: list) -> None:
        if not found or not isinstance(found[-1], Element) or found[-1].indices:
            self.fail(item.at, "brackets without a variable before them")
        if not item.entries:
            self.fail(item.at, "empty brackets; a scalar is written without any")
        indices = tuple(self.integer(entry, item.at, "an index", 0) for entry in item.entries)
        found[-1] = found[-1]._replace(indices=indices)

    def word(self, item: _Word) -> Element | Literal:
        text, at = item
        if NUMBER.fullmatch(text):
            return Literal(text, at)
        if NAME.fullmatch(text) and text not in RESERVED:
            return Element(text, (), at)
        try:
            float(text)
        except ValueError:
            self.fail(at, f"{text[:40]!r} is neither a number nor a variable")
        self.fail(at, f"the number {text[:40]!r} is not written as VNN-LIB 2.0 has it: digits, or digits '.' digits, "
                  "with '-' in front if negative; no exponent")

    def arithmetic(self, item: _Group) -> Arithmetic:
        head, at = item.head, item.at
        if not head:
            self.fail(at, "expected a term: a variable, a number, (+ ...), (- ...) or (* ...)")
        if head in COMPARISONS or head in ("and", "or"):
            self.fail(at, f"a condition ({head} ...) where a number or a term is needed")
        if head not in ("+", "-", "*"):
            hint = f" ({HINTS[head]})" if head in HINTS else ""
            self.fail(at, f"unknown operator {head[:40]!r}{hint} in a term; accepted: +, -, *", UnsupportedSpec)
        args = self.terms(item.items[1:])
        if not args:
            self.fail(at, f"({head}) needs at least one term")
        return Arithmetic(head, tuple(args), at)
