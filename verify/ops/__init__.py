"""The primitives: what every network is made of after import."""

from verify.ops.add import Add
from verify.ops.affine import Affine
from verify.ops.base import LinearOp, Op
from verify.ops.conv import Conv, ConvTranspose
from verify.ops.linear import Linear
from verify.ops.product import Product
from verify.ops.reduce import Sum
from verify.ops.relu import Relu
from verify.ops.reshape import Concat, Gather, Reshape, Transpose
from verify.ops.s_shaped import Sigmoid, SShaped, Tanh
from verify.ops.source import Constant, Input

__all__ = [
    "Add", "Affine", "Concat", "Constant", "Conv", "ConvTranspose", "Gather", "Input", "Linear", "LinearOp", "Op", "Product",
    "Relu", "Reshape", "SShaped", "Sigmoid", "Sum", "Tanh", "Transpose",
]
