"""The table of contents of the primitives."""

from __future__ import annotations

import verify.ops
from verify.ops import Curve, LinearOp, Op


def test_every_listed_primitive_is_an_op_and_few_are_neither_linear_nor_unary():
    ops = {name: getattr(verify.ops, name) for name in verify.ops.__all__}
    assert all(issubclass(op, Op) for op in ops.values())
    others = {name for name, op in ops.items() if not issubclass(op, LinearOp | Curve)}
    assert others == {"Op", "Input", "Relu", "Product"}
