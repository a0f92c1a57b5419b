"""The table of contents of the primitives."""

from __future__ import annotations

import verify.ops
from verify.ops import LinearOp, Op


def test_every_listed_primitive_is_an_op_and_only_three_are_nonlinear():
    ops = {name: getattr(verify.ops, name) for name in verify.ops.__all__}
    assert all(issubclass(op, Op) for op in ops.values())
    nonlinear = {name for name, op in ops.items() if not issubclass(op, LinearOp)}
    assert nonlinear == {"Op", "Input", "Relu", "SShaped", "Sigmoid", "Tanh"}
