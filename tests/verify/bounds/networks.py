"""Small graphs of every kind that the bounds must handle, batches of boxes, and points that try to break a bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from verify.graph import Graph, Node
from verify.ops import (
    Add,
    Affine,
    Concat,
    Constant,
    Conv,
    Exp,
    Gather,
    Gelu,
    Input,
    Linear,
    Op,
    Power,
    Product,
    Reciprocal,
    Relu,
    Reshape,
    Sigmoid,
    Sin,
    Sqrt,
    Sum,
    Tanh,
    Transpose,
)
from verify.sets import Interval


@dataclass
class Builder:
    """Collects nodes; every method returns the name of its node."""

    shape: tuple[int, ...]
    seed: int = 0
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.nodes.append(Node("x", Input(self.shape), (), self.shape))

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64).float().double()

    def add(self, op: Op, *inputs: str) -> str:
        shapes = {node.name: node.shape for node in self.nodes}
        name = f"n{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs, op.output_shape(*(shapes[i] for i in inputs))))
        return name

    def dense(self, name: str, i: int, o: int) -> str:
        return self.add(Linear(self.draw(o, i) / i**0.5, 0.3 * self.draw(o)), name)

    def conv(self, name: str, i: int, o: int, **options) -> str:
        return self.add(Conv(self.draw(o, i, 3, 3) / 3, 0.3 * self.draw(o), **options), name)

    def graph(self, output: str) -> Graph:
        return Graph(tuple(self.nodes), output)


def mlp(seed: int = 0, sizes: tuple[int, ...] = (3, 6, 5, 2), act: Op | None = None) -> Graph:
    b = Builder((1, sizes[0]), seed)
    name = "x"
    for i, o in pairwise(sizes[:-1]):
        name = b.add(act or Relu(), b.dense(name, i, o))
    return b.graph(b.dense(name, sizes[-2], sizes[-1]))


def conv(seed: int = 0) -> Graph:
    b = Builder((1, 1, 4, 4), seed)
    name = b.add(Relu(), b.conv("x", 1, 2, padding=(1, 1), stride=(2, 2)))
    name = b.add(Affine(1 + 0.1 * b.draw(1, 2, 1, 1), 0.1 * b.draw(1, 2, 1, 1)), name)
    name = b.add(Relu(), b.conv(name, 2, 3, padding=(1, 1)))
    return b.graph(b.dense(b.add(Reshape((1, 12)), name), 12, 2))


def residual(seed: int = 0) -> Graph:
    b = Builder((1, 4), seed)
    stem = b.add(Relu(), b.dense("x", 4, 4))
    block = b.dense(b.add(Relu(), b.dense(stem, 4, 5)), 5, 4)
    joined = b.add(Relu(), b.add(Add((1, -1)), block, stem))
    return b.graph(b.add(Add((1, 1)), b.dense(joined, 4, 2), b.dense("x", 4, 2)))


def maximum(seed: int = 0) -> Graph:
    """max(a, b) = a + relu(b - a), as the importer writes it."""
    b = Builder((1, 3), seed)
    hidden = b.add(Relu(), b.dense("x", 3, 6))
    left, right = b.add(Gather(torch.tensor([[0, 2, 4]])), hidden), b.add(Gather(torch.tensor([[1, 3, 5]])), hidden)
    pooled = b.add(Add(), left, b.add(Relu(), b.add(Add((1, -1)), right, left)))
    return b.graph(b.dense(b.add(Relu(), b.dense(pooled, 3, 3)), 3, 2))


def joined(seed: int = 0) -> Graph:
    """Concatenation, repeated and filled reads, a constant, a sum."""
    b = Builder((1, 3), seed)
    left, right = b.add(Relu(), b.dense("x", 3, 3)), b.add(Tanh(), b.dense("x", 3, 3))
    both = b.add(Concat(1), left, right, b.add(Constant(b.draw(1, 2))))
    picked = b.add(Gather(torch.tensor([[7, 1, 0, -1, 4, 4, 5]]), 0.5), both)
    top = b.add(Relu(), b.dense(picked, 7, 4))
    return b.graph(b.add(Concat(1), b.add(Sum((1,)), top), b.dense(top, 4, 1)))


def mixed(seed: int = 0) -> Graph:
    b = Builder((1, 3), seed)
    name = b.add(Sigmoid(), b.dense("x", 3, 4))
    name = b.add(Relu(), b.dense(name, 4, 4))
    return b.graph(b.dense(b.add(Tanh(), b.dense(name, 4, 3)), 3, 2))


def product(seed: int = 0) -> Graph:
    """Products of ReLUs with a value that feeds two of them, next to a linear path."""
    b = Builder((1, 3), seed)
    left, right = b.add(Relu(), b.dense("x", 3, 4)), b.dense("x", 3, 4)
    first = b.add(Product(), left, right)
    second = b.add(Product(), b.dense(first, 4, 4), right)
    return b.graph(b.add(Add(), b.dense(b.add(Relu(), second), 4, 2), b.dense("x", 3, 2)))


def attention(seed: int = 0) -> Graph:
    """All products of three queries with three keys, read by moves, their softmax, and sums with values."""
    b = Builder((1, 3), seed)
    query, key = b.dense("x", 3, 3), b.add(Reshape((3, 1)), b.add(Transpose((1, 0)), b.dense("x", 3, 3)))
    pairs = torch.arange(9)
    scores = b.add(Product(), b.add(Gather(pairs // 3), query), b.add(Gather(pairs % 3), key))
    rows = b.add(Reshape((3, 3)), scores)
    left, right = torch.arange(27) // 9 * 3 + torch.arange(27) % 3, torch.arange(27) // 3
    ends = (b.add(Gather(index.reshape(3, 3, 3)), rows) for index in (left, right))
    gaps = b.add(Add((1, -1)), *ends)
    weights = b.add(Reciprocal(), b.add(Sum((2,)), b.add(Exp(), gaps)))
    mixed = b.add(Product(), b.add(Reshape((9,)), weights), b.add(Gather(pairs % 3), b.dense("x", 3, 3)))
    return b.graph(b.dense(b.add(Reshape((1, 9)), mixed), 9, 2))


def curves(seed: int = 0) -> Graph:
    """Sines, squares, an exponential, a quotient and a square root, some reading the same value."""
    b = Builder((1, 3), seed)
    first = b.dense("x", 3, 4)
    wave, square = b.add(Sin(), first), b.add(Power(2.0), first)
    one = torch.ones(1, 4, dtype=torch.float64)
    inverse = b.add(Reciprocal(), b.add(Affine(None, one), square))
    ratio = b.add(Product(), wave, inverse)
    root = b.add(Sqrt(), b.add(Affine(0.5 * one, one), square))
    both = b.add(Concat(1), ratio, root, b.add(Exp(), b.add(Affine(0.3 * one), wave)), b.add(Relu(), first))
    return b.graph(b.dense(b.add(Gelu(), b.dense(both, 16, 3)), 3, 2))


def scalar(seed: int = 0) -> Graph:
    """A value of shape () in the middle."""
    b = Builder((1, 3), seed)
    single = b.add(Reshape(()), b.dense(b.add(Relu(), b.dense("x", 3, 4)), 4, 1))
    square = b.add(Reshape((1, 1)), b.add(Product(), b.add(Relu(), single), b.add(Tanh(), single)))
    return b.graph(b.add(Concat(1), square, b.dense("x", 3, 1)))


def affine(seed: int = 0) -> Graph:
    b = Builder((1, 3), seed)
    return b.graph(b.dense(b.dense("x", 3, 4), 4, 2))


def identity(seed: int = 0) -> Graph:
    return Builder((1, 3), seed).graph("x")


def constant(seed: int = 0) -> Graph:
    """The output does not depend on the input."""
    b = Builder((1, 3), seed)
    return b.graph(b.dense(b.add(Relu(), b.add(Constant(b.draw(1, 3)))), 3, 2))


def stable(seed: int = 0) -> Graph:
    """No neuron is unstable: biases of +-100."""
    b = Builder((1, 3), seed)
    shift = b.add(Affine(None, torch.tensor([[100.0, -100.0, 100.0, -100.0]], dtype=torch.float64)), b.dense("x", 3, 4))
    return b.graph(b.dense(b.add(Relu(), shift), 4, 2))


RELU = {"mlp": mlp, "conv": conv, "residual": residual, "maximum": maximum, "affine": affine, "stable": stable}
ALL = {
    **RELU, "sigmoid": lambda seed=0: mlp(seed, act=Sigmoid()), "tanh": lambda seed=0: mlp(seed, act=Tanh()),
    "joined": joined, "mixed": mixed, "product": product, "curves": curves, "attention": attention, "scalar": scalar,
    "identity": identity, "constant": constant,
}


def boxes(graph: Graph, seed: int = 0, radii: tuple[float, ...] = (0.02, 0.5, 3.0, 0.0)) -> Interval:
    """One box per radius around random centres, and a last one where only the first input varies."""
    generator = torch.Generator().manual_seed(seed + 100)
    shape = graph.input.shape
    count = len(radii) + 1
    center = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    scale = torch.rand(count, *shape, generator=generator, dtype=torch.float64) + 0.5
    radius = torch.tensor([*radii, 0.7], dtype=torch.float64).reshape(-1, *([1] * len(shape))) * scale
    only = torch.zeros(shape, dtype=torch.float64).flatten()
    only[0] = 1
    radius[-1] *= only.reshape(shape)
    lower, upper = (center - radius).to(graph.dtype), (center + radius).to(graph.dtype)
    return Interval(lower, upper)


def low_points(graph: Graph, box: Interval, rows: Tensor, count: int = 64, steps: int = 15) -> Tensor:
    """The least values (n, r) found, in float64, of rows (r, *output shape) of the graph over each box (n): samples,
    corners, and signed gradient descent on every row. `graph` and `box` may be float32; their numbers are taken as
    exact."""
    exact = graph.to(dtype=torch.float64)
    low, high = box.lower.double(), box.upper.double()
    generator = torch.Generator().manual_seed(0)
    n, r = low.shape[0], rows.shape[0]
    flat = rows.double().flatten(1)

    def values(x: Tensor) -> Tensor:
        y = exact.evaluate(x.flatten(0, 1)).flatten(1)
        return (y @ flat.T).reshape(n, -1, r)

    noise = torch.rand(n, count, *low.shape[1:], generator=generator, dtype=torch.float64)
    noise[:, ::3] = noise[:, ::3].round()
    x = low.unsqueeze(1) + noise * (high - low).unsqueeze(1)
    x = x.maximum(low.unsqueeze(1)).minimum(high.unsqueeze(1))
    best = values(x).amin(1)
    x = x[:, :r].clone() if count >= r else x
    x = x.repeat(1, -(-r // x.shape[1]), *([1] * (x.dim() - 2)))[:, :r]
    for step in range(steps):
        x = x.detach().requires_grad_()
        mine = values(x).diagonal(dim1=1, dim2=2)
        best = torch.minimum(best, mine.detach())
        (gradient,) = torch.autograd.grad(mine.sum(), x) if mine.requires_grad else (torch.zeros_like(x),)
        rate = 0.7 * 0.75**step
        x = (x - rate * (high - low).unsqueeze(1) * gradient.sign()).maximum(low.unsqueeze(1)).minimum(
            high.unsqueeze(1))
    return torch.minimum(best, values(x.detach()).diagonal(dim1=1, dim2=2).detach())


def directions(graph: Graph, seed: int = 0, count: int = 3) -> Tensor:
    """Random rows on the output, (1, count, *output shape)."""
    generator = torch.Generator().manual_seed(seed + 7)
    shape = graph[graph.output].shape
    return torch.randn(1, count, *shape, generator=generator, dtype=torch.float64).to(graph.dtype)


def slack(values: Tensor) -> Tensor:
    """What the float64 evaluation of the network itself may be off, for values (n, r)."""
    return 1e-12 * (1 + values.abs())
