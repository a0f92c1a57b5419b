"""The operators of random networks, by name: how each is used (`operator_uses`), and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tests.soundness import operator_uses as use
from tests.soundness.operator_uses import Build, along, binary, comparison, curve, of_positive, reduction, several

SINGLE, UNUSABLE = 1e-6, 1e9


@dataclass(frozen=True)
class Use:
    """`since`: the opset from which the operator exists in this form; `jumps`: it has steps. `reference`: how far,
    relative to the largest value, the reference implementation in double precision may be off (it computes some
    functions and constants in float32, and others wrongly)."""

    build: Build
    since: int = 13
    jumps: bool = False
    reference: float = 1e-12


CURVES = MappingProxyType({
    **{name: Use(curve(name)) for name in ("Sin", "Cos", "Atan", "Asinh", "Sigmoid", "Tanh", "Softplus", "Softsign",
                                            "Relu", "Abs", "Neg")},
    **{name: Use(curve(name), jumps=True) for name in ("Floor", "Ceil", "Round", "Sign")},
    "Erf": Use(curve("Erf"), reference=SINGLE),
    "Exp": Use(curve("Exp", -6.0, 3.0)),
    "Sinh": Use(curve("Sinh", -3.0, 3.0)),
    "Cosh": Use(curve("Cosh", -3.0, 3.0)),
    "Asin": Use(curve("Asin", -0.95, 0.95)),
    "Acos": Use(curve("Acos", -0.95, 0.95)),
    "Atanh": Use(curve("Atanh", -0.9, 0.9)),
    "Tan": Use(curve("Tan", -1.4, 1.4)),
    "Acosh": Use(curve("Acosh", 1.1, 9)),
    "Log": Use(of_positive("Log")),
    "Sqrt": Use(of_positive("Sqrt")),
    "Reciprocal": Use(use.reciprocal),
    "Mish": Use(curve("Mish"), 18),
    "HardSwish": Use(curve("HardSwish"), 14, reference=SINGLE),
    "Gelu": Use(use.gelu, 20, reference=SINGLE),
    "Swish": Use(curve("Swish", alpha=(-1.0, 2.0)), 24),
    "Elu": Use(curve("Elu", alpha=(0.1, 2.0))),
    "Selu": Use(curve("Selu", alpha=(0.5, 2.0), gamma=(0.5, 1.5)), reference=SINGLE),
    "Celu": Use(curve("Celu", alpha=(0.3, 2.0))),
    "LeakyRelu": Use(curve("LeakyRelu", alpha=(-0.5, 1.5)), reference=SINGLE),
    "PRelu": Use(use.prelu),
    "HardSigmoid": Use(curve("HardSigmoid", alpha=(0.1, 1.0), beta=(0.0, 1.0)), reference=SINGLE),
    "ThresholdedRelu": Use(curve("ThresholdedRelu", alpha=(-0.5, 1.0)), jumps=True),
    "Shrink": Use(curve("Shrink", lambd=(0.1, 1.0), bias=(0.0, 1.0)), jumps=True),
})
ARITHMETIC = MappingProxyType({
    "Add": Use(binary("Add")),
    "Sub": Use(binary("Sub")),
    "Mul": Use(binary("Mul", 5.0)),
    "Mul of equals": Use(use.square),
    "Div": Use(use.div),
    "Div by a constant": Use(use.div_by_constant),
    "Pow": Use(use.power),
    "Pow by several": Use(use.power_several),
    "Pow of a constant": Use(use.power_of_constant),
    "Pow of two": Use(use.power_both),
    "Mod": Use(use.mod, jumps=True),
    **{name: Use(several(name)) for name in ("Min", "Max", "Sum", "Mean")},
    "Clip": Use(use.clip),
    "Where": Use(use.where, 16, jumps=True),
    **{name: Use(comparison(name), 16, jumps=True) for name in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")},
    "gate": Use(use.gate),
})
SUMS = MappingProxyType({
    "MatMul": Use(use.matmul),
    "MatMul by a constant": Use(use.dense),
    "Gemm": Use(use.gemm),
    "Einsum": Use(use.einsum),
    "attention": Use(use.attention),
    "Softmax": Use(along("Softmax")),
    "LogSoftmax": Use(along("LogSoftmax")),
    "Hardmax": Use(along("Hardmax"), jumps=True),
    "CumSum": Use(use.cum_sum, 14),
    **{name: Use(reduction(name)) for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1",
                                               "ReduceL2")},
    "ReduceProd": Use(reduction("ReduceProd", 2.0)),
    "ReduceSumSquare": Use(reduction("ReduceSumSquare", 4.0)),
    "ReduceLogSumExp": Use(reduction("ReduceLogSumExp", 5.0)),
    "ReduceLogSum": Use(reduction("ReduceLogSum", positive=True)),
    "ArgMax": Use(use.positions("ArgMax"), jumps=True),
    "ArgMin": Use(use.positions("ArgMin"), jumps=True),
    "TopK": Use(use.top_k, jumps=True),
})
LAYERS = MappingProxyType({
    "LayerNormalization": Use(use.layer_norm, 17),
    "RMSNormalization": Use(use.rms_norm, 23),
    "InstanceNormalization": Use(use.instance_norm),
    "GroupNormalization": Use(use.group_norm, 21, reference=UNUSABLE),
    "MeanVarianceNormalization": Use(use.mean_variance),
    "LpNormalization": Use(use.lp_norm),
    "LRN": Use(use.lrn, reference=UNUSABLE),
    "BatchNormalization": Use(use.batch_norm, reference=UNUSABLE),
    "MaxPool": Use(use.pool("MaxPool"), reference=UNUSABLE),
    "AveragePool": Use(use.pool("AveragePool", count_include_pad=(0, 1))),
    "LpPool": Use(use.pool("LpPool", p=(1, 2))),
    "GlobalMaxPool": Use(use.whole("GlobalMaxPool")),
    "GlobalAveragePool": Use(use.whole("GlobalAveragePool")),
    "Conv": Use(use.conv),
    "ConvTranspose": Use(use.conv_transpose),
    "Resize": Use(use.resize),
    "RNN": Use(use.recurrent("RNN", 1)),
    "LSTM": Use(use.recurrent("LSTM", 4)),
    "GRU": Use(use.recurrent("GRU", 3)),
    "QuantizeLinear": Use(use.quantised, jumps=True),
})
MOVES = MappingProxyType({
    "Slice": Use(use.cut_out),
    "Gather": Use(use.gather),
    "GatherElements": Use(use.gather_elements),
    "ScatterElements": Use(use.scatter_elements),
    "ScatterND": Use(use.scatter_nd),
    "Pad": Use(use.pad),
    "Concat": Use(use.concat),
    "Split": Use(use.split),
    "Transpose": Use(use.transpose),
    "Expand": Use(use.expand),
    "Tile": Use(use.tile),
    "Trilu": Use(use.trilu, 14),
    "DepthToSpace": Use(use.depth_to_space),
})
USES = MappingProxyType({**CURVES, **ARITHMETIC, **SUMS, **LAYERS, **MOVES})
