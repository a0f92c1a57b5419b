"""Random VNN-LIB 2.0 queries on two small networks: polynomials, shared inputs, hidden values, `!=`, nested choices.

An independent reader evaluates the text at points. No query that a point meets may be `unsat`, and every `sat` comes
with assignments that meet the text and that onnxruntime confirms. All numbers are dyadic with few digits, so that the
points' outputs are exact in every arithmetic.
"""

from __future__ import annotations

import operator
import random
import re
from fractions import Fraction
from math import prod

import numpy as np
import pytest

from tests.verify.vnnlib.v2.models import absolute
from tests.verify.vnnlib.v2.test_queries import Asked, ask, read, replayed
from tests.verify.vnnlib.v2.texts import HEADER, box, tensor
from verify.errors import InvalidInput

CASES = 8
"""Seeds of a test run; at length, `check` is called with more of them."""
POINTS = 300
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
           "!=": operator.ne}
GRID = [Fraction(k, 4) for k in range(-4, 5)]


def nested(text: str):
    """The parenthesised words of a text, indices as part of their word."""
    stack: list[list] = [[]]
    for word in re.findall(r"[()]|[^\s()]+", text):
        if word == "(":
            stack.append([])
        elif word == ")":
            stack[-2].append(stack.pop())
        else:
            stack[-1].append(word)
    return stack[0]


def value(e, point: dict[str, np.ndarray]):
    """Truth of a condition, or the value of a term, in fractions."""
    if isinstance(e, str):
        found = re.fullmatch(r"([A-Z])\[0,(\d)\]", e)
        return Fraction(float(point[found[1]][0, int(found[2])])) if found else Fraction(e)
    head, args = e[0], [value(arg, point) for arg in e[1:]]
    if head in COMPARE:
        return COMPARE[head](*args)
    if head in ("and", "or"):
        return all(args) if head == "and" else any(args)
    if head == "*":
        return prod(args)
    return sum(args) if head == "+" else (-args[0] if len(args) == 1 else args[0] - sum(args[1:]))


def random_term(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.4:
        entry = f"{rng.choice('XXUYVH')}[0,{rng.randrange(2)}]"
        return entry if rng.random() < 0.8 else rng.choice(["0.5", "-1.0", "0.25", "2.0"])
    op = rng.choice("+-*")
    return f"({op} {' '.join(random_term(rng, depth - 1) for _ in range(rng.randint(1, 2) if op == '-' else 2))})"


def random_condition(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.4:
        return f"({rng.choice(['<', '<=', '>', '>=', '<', '>', '!='])} {random_term(rng, 2)} {random_term(rng, 1)})"
    return f"({rng.choice(['and', 'or'])} {random_condition(rng, depth - 1)} {random_condition(rng, depth - 1)})"


def random_query(rng: random.Random) -> str:
    equal = rng.random() < 0.5
    f = f"(declare-network f {tensor('input', 'X')} {tensor('hidden', 'H', onnx=chr(34) + 'h' + chr(34))} " \
        f"{tensor('output', 'Y')})\n"
    g = f"(declare-network g {'(equal-to f)' if equal else ''} {tensor('input', 'U')} {tensor('output', 'V')})\n"
    body = "".join(f"(assert {random_condition(rng, 2)})\n" for _ in range(rng.randint(1, 3)))
    tie = "(assert (== X[0,1] U[0,1]))\n" if rng.random() < 0.5 else ""
    return HEADER + f + g + box() + box("U") + tie + body


def random_model(rng: random.Random) -> bytes:
    return absolute([[rng.choice([-1.0, 0.5, 1.0]) for _ in range(2)] for _ in range(2)],
                    [rng.choice([-0.5, 0.0, 0.25]) for _ in range(2)])


def outputs(model: bytes, x: np.ndarray) -> np.ndarray:
    return replayed(model, x=x.astype(np.float32))[0]


def hidden(model: bytes, x: np.ndarray) -> np.ndarray:
    """y = (h0 + h1, h0 - h1)."""
    y = outputs(model, x)
    return np.array([[(y[0, 0] + y[0, 1]) / 2, (y[0, 0] - y[0, 1]) / 2]], np.float32)


def check(seed: int) -> str:
    """The verdict, after all that can be checked about it."""
    rng = random.Random(seed)
    text, f, g = random_query(rng), random_model(rng), random_model(rng)
    equal = "equal-to" in text
    g = f if equal else g
    asserted = [e[1] for e in nested(text) if e[0] == "assert"]
    met = False
    for _ in range(POINTS):
        x, u = (np.array([[float(rng.choice(GRID)) for _ in range(2)]]) for _ in range(2))
        u[0, 1] = x[0, 1] if "(== X[0,1] U[0,1])" in text else u[0, 1]
        point = {"X": x, "U": u, "Y": outputs(f, x), "V": outputs(g, u), "H": hidden(f, x)}
        met = met or all(value(e, point) for e in asserted)
    try:
        found = ask(text, f if equal else {"f": f, "g": g}, seconds=3.0)
    except InvalidInput as error:
        assert "contradict" in str(error), text
        found = Asked("unsat", "")
    assert not (met and found.verdict == "unsat"), text
    if found.verdict == "sat":
        point = read(found.text)
        assert np.array_equal(outputs(f, point["X"]), point["Y"]) and np.array_equal(outputs(g, point["U"]), point["V"])
        assert all(value(e, point) for e in asserted), text
    return found.verdict


@pytest.mark.parametrize("seed", range(CASES))
def test_random_queries(seed):
    check(seed)
