"""One entry per use of a primitive: the op and the shapes of its inputs. A new primitive adds its cases here."""

from __future__ import annotations

import torch

from tests.conformance.curves import CURVES
from verify.ops import (
    Add,
    Affine,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Gather,
    Linear,
    Relu,
    Reshape,
    Sum,
    Transpose,
)


def tensor(*shape: int) -> torch.Tensor:
    """Fixed normal numbers that depend on the shape only."""
    generator = torch.Generator().manual_seed(17 + sum((k + 3) * size for k, size in enumerate(shape)))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


LINEAR = {
    "linear": (Linear(tensor(4, 3), tensor(4)), ((3,),)),
    "linear-no-bias": (Linear(tensor(4, 3)), ((1, 3),)),
    "linear-wide": (Linear(tensor(900, 2), tensor(900)), ((2,),)),
    "linear-rows": (Linear(tensor(2, 3), tensor(2)), ((1, 5, 3),)),
    "linear-silent": (Linear(tensor(4, 3) * tensor(4, 1).relu(), tensor(4).relu()), ((3,),)),
    "linear-merged": (Linear(tensor(2, 3), tensor(2), tensor(2).abs() + 5, tensor(2).abs(), tensor(3).abs()), ((3,),)),
    "conv": (Conv(tensor(4, 2, 3, 3), tensor(4)), ((1, 2, 5, 6),)),
    "conv-wide": (Conv(tensor(40, 1, 3, 3), tensor(40), padding=(1, 1)), ((1, 1, 9, 9),)),
    "conv-no-bias": (Conv(tensor(4, 2, 3, 2)), ((1, 2, 5, 6),)),
    "conv-stride-pad": (Conv(tensor(4, 2, 3, 3), tensor(4), (2, 3), (1, 2)), ((1, 2, 6, 7),)),
    "conv-stride-leaves-a-rest": (Conv(tensor(3, 2, 2, 2), tensor(3), (3, 3)), ((1, 2, 7, 6),)),
    "conv-dilation": (Conv(tensor(3, 2, 2, 3), tensor(3), dilation=(3, 2), padding=(1, 1)), ((1, 2, 6, 7),)),
    "conv-groups": (Conv(tensor(6, 2, 2, 2), tensor(6), groups=2), ((1, 4, 4, 3),)),
    "conv-silent": (Conv(tensor(4, 2, 2, 2) * tensor(4, 1, 1, 1).relu()), ((1, 2, 4, 3),)),
    "conv-batch": (Conv(tensor(3, 2, 2, 2), tensor(3)), ((2, 2, 4, 3),)),
    "conv-merged": (Conv(tensor(3, 2, 2, 2), tensor(3), bias_magnitude=tensor(3).abs() + 9), ((1, 2, 4, 3),)),
    "deconv": (ConvTranspose(tensor(2, 3, 3, 3), tensor(3)), ((1, 2, 4, 3),)),
    "deconv-stride": (
        ConvTranspose(tensor(2, 3, 3, 3), tensor(3), (2, 3), (1, 0), output_padding=(1, 2)), ((1, 2, 4, 3),),
    ),
    "deconv-groups": (ConvTranspose(tensor(4, 3, 2, 2), None, groups=2, dilation=(2, 1)), ((1, 4, 3, 3),)),
    "affine": (Affine(tensor(2, 1), tensor(3)), ((2, 3),)),
    "affine-scale": (Affine(tensor(1)), ((2, 3),)),
    "affine-silent": (Affine(tensor(2, 3).relu()), ((2, 3),)),
    "affine-shift": (Affine(None, tensor(3)), ((1, 3),)),
    "affine-nothing": (Affine(), ((3,),)),
    "affine-merged": (Affine(tensor(3), tensor(3), tensor(3).abs() + 7), ((3,),)),
    "add": (Add(), ((2, 3), (2, 3))),
    "add-signs": (Add((-1, 1, -1)), ((3,), (3,), (3,))),
    "reshape": (Reshape((3, 2)), ((1, 6),)),
    "transpose": (Transpose((2, 0, 1)), ((2, 3, 4),)),
    "gather": (Gather(torch.tensor([[0, 5, 5], [2, 0, 0]])), ((2, 3),)),
    "gather-fill": (Gather(torch.tensor([-1, 1, -1, 0]), -2.5), ((2,),)),
    "gather-fill-odd": (Gather(torch.tensor([-1, 1, -1, 0]), 0.1), ((2,),)),
    "gather-permutes": (Gather(torch.tensor([[2, 1], [0, -1]])), ((3,),)),
    "gather-zeros": (Gather(torch.tensor([-1, 1])), ((2,),)),
    "concat": (Concat(1), ((1, 2, 2), (1, 3, 2))),
    "concat-three": (Concat(0), ((2,), (1,), (3,))),
    "sum": (Sum((1, 2)), ((2, 3, 4),)),
    "sum-nothing": (Sum((0,)), ((1, 3),)),
    "constant": (Constant(tensor(2, 3)), ()),
}
NONLINEAR = {
    "relu": (Relu(), ((2, 3),)),
    **{name: (case.op, ((2, 3),)) for name, case in CURVES.items()},
}
