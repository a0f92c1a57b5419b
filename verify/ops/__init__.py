"""The primitives: what every network is made of after import."""

from verify.ops.add import Add
from verify.ops.affine import Affine
from verify.ops.base import LinearOp, Op
from verify.ops.conv import Conv, ConvTranspose
from verify.ops.curve import Curve
from verify.ops.exponential import Elu, Exp, Log, Softplus
from verify.ops.gated import Gelu, GeluTanh, HardSwish, Mish, Silu
from verify.ops.gaussian import Erf
from verify.ops.hyperbolic import Acosh, Asinh, Atanh, Cosh, Sinh
from verify.ops.linear import Linear
from verify.ops.power import Power, Reciprocal, Sqrt
from verify.ops.product import Product
from verify.ops.reduce import Sum
from verify.ops.relu import Relu
from verify.ops.reshape import Concat, Gather, Reshape, Transpose
from verify.ops.s_shaped import Sigmoid, SShaped, Tanh
from verify.ops.source import Constant, Input
from verify.ops.step import Ceil, Floor, Positive, Round, Sign, Step
from verify.ops.trigonometric import Acos, Asin, Atan, Cos, Sin, Tan

__all__ = [
    "Acos", "Acosh", "Add", "Affine", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Concat", "Constant", "Conv",
    "ConvTranspose", "Cos", "Cosh", "Curve", "Elu", "Erf", "Exp", "Floor", "Gather", "Gelu", "GeluTanh",
    "HardSwish", "Input", "Linear", "LinearOp", "Log", "Mish", "Op", "Positive", "Power", "Product", "Reciprocal",
    "Relu", "Reshape", "Round", "SShaped", "Sigmoid", "Sign", "Silu", "Sin", "Sinh", "Softplus", "Sqrt", "Step",
    "Sum", "Tan", "Tanh", "Transpose",
]
