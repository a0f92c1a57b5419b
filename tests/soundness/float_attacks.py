"""Networks whose float32 executions disagree with the reals, or with each other, by as much as their authors like.

After Jia and Rinard 2021 (Exploiting verified neural networks via floating point numerical error) and Zombori et al.
2021 (Fooling a complete neural network verifier): a large constant that swallows the input and is taken away again,
sums whose value depends on their order, products that underflow. Each has one property; `holds` says whether it holds
over the reals, `crossed` whether some float32 execution is unsafe. None may be called `unsat` under float32 semantics:
where no execution is unsafe, a point over the reals is, which lies among the executions that the bounds allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.soundness.nets import case, dense, row
from verify.query import Case


@dataclass(frozen=True, eq=False)
class Attack:
    """A model of (1, i) inputs and one output, a property, whether it holds over the reals (`holds`), whether some
    execution is unsafe (`crossed`), and whether float64 bounds are good enough to prove what holds (`provable`)."""

    name: str
    model: bytes
    case: Case
    holds: bool
    crossed: bool = True
    provable: bool = True


def chain(inputs: int, *steps: tuple) -> bytes:
    """x -> operator(x, constant) -> ...; a step without a constant is an activation."""
    nodes, known, value = [], [], "x"
    for k, (operator, *constants) in enumerate(steps):
        names = [f"c{k}_{j}" for j in range(len(constants))]
        known += [numpy_helper.from_array(np.asarray(c, np.float32), n) for c, n in zip(constants, names, strict=True)]
        nodes.append(helper.make_node(operator, [value, *names], [f"v{k}"]))
        value = f"v{k}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
            for name, size in (("x", inputs), (value, 1))]
    model = helper.make_model(helper.make_graph(nodes, "attack", ends[:1], ends[1:], known),
                              opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model.SerializeToString()


def swallowed(power: int) -> Attack:
    """y = (x + 2^p) - 2^p = x >= 1/4 over the reals, 0 in float32."""
    return Attack(f"swallowed-{power}", chain(1, ("Add", [[2.0**power]]), ("Sub", [[2.0**power]])),
                  case(["0.25"], [1], [row({0: 1}, "-0.1")]), holds=True, provable=power <= 30)


def hidden(power: int) -> Attack:
    """y = 1 - ((x + 2^p) - 2^p): unsafe at x = 1 over the reals, 1 for every float32 and, for large p, float64
    execution. A prover that forgets its rounding says that it is safe."""
    model = chain(1, ("Add", [[2.0**power]]), ("Sub", [[2.0**power]]), ("Mul", [[-1.0]]), ("Add", [[1.0]]))
    return Attack(f"hidden-{power}", model, case(["0.25"], [1], [row({0: 1}, "-0.1")]), holds=False, crossed=False)


def neurons(power: int) -> Attack:
    """The same through ReLUs and a hidden layer: y = relu(2^p x + x) - relu(2^p x), which is x over the reals."""
    layers = [([[2.0**power, 1.0], [2.0**power, 0.0]], [0, 0]), ([[1.0, -1.0]], [0])]
    return Attack(f"neurons-{power}", dense(layers), case([1, "0.3"], [1, "0.6"], [row({0: 1}, "-0.2")]), holds=True)


def order(amplified: float) -> Attack:
    """y = c (2^24 a + b - 2^24 a - 1/2): positive over the reals (b >= 0.6) and where the two large terms meet first,
    negative where b is added to one of them."""
    model = chain(3, ("MatMul", [[2.0**24], [1.0], [-(2.0**24)]]), ("Sub", [[0.5]]), ("Mul", [[amplified]]))
    return Attack(f"order-{amplified:g}", model, case([1, "0.6", 1], [1, "0.9", 1], [row({0: 1})]), holds=True)


def underflow() -> Attack:
    """y = x 2^-100 2^-100 2^100 2^100 = x over the reals, 0 in float32."""
    factors = [("Mul", [[2.0**power]]) for power in (-100, -100, 100, 100)]
    return Attack("underflow", chain(1, *factors), case([1], [2], [row({0: 1}, "-0.5")]), holds=True)


def overflow() -> Attack:
    """y = (2^127 a - 2^127 b + 2^127 c) 2^-126 with a, b, c about 1: 2 over the reals and from left to right, infinite
    where the two positive terms meet first (and infinity is not below 3)."""
    model = chain(3, ("MatMul", [[2.0**127], [-(2.0**127)], [2.0**127]]), ("Mul", [[2.0**-126]]))
    return Attack("overflow", model, case([1, "0.99", 1], [1, 1, 1], [row({0: -1}, 3)]), holds=True)


def narrow(inputs: int = 40, margin: float = 1e-9, seed: int = 0) -> Attack:
    """One affine layer whose least value over the reals is `margin` above the border, and whose sums in float32 are
    off by more."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((1, inputs)).astype(np.float32)
    low, high = (rng.uniform(*ends, inputs).astype(np.float32) for ends in ((-1, 0), (0.5, 1)))
    corner = np.where(weight[0] > 0, low, high).astype(np.float64)
    # Products of two float32 numbers are exact in float64, and their sum is off by 1e-15.
    least = float(weight[0].astype(np.float64) @ corner)
    limits = low.astype(float), high.astype(float)
    return Attack("narrow", dense([(weight, [0.0])]), case(*limits, [row({0: 1}, margin - least)]), holds=True)


def attacks() -> tuple[Attack, ...]:
    """All of them."""
    return (swallowed(30), swallowed(60), hidden(30), hidden(60), neurons(26), order(1.0), order(1e4), underflow(),
            overflow(), narrow())
