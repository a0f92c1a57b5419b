"""One file per ONNX operator (or family of siblings); importing this package fills the registry."""

from verify.onnx_import.ops import (
    abs,
    add,
    batch_normalization,
    clip,
    concat,
    conv,
    conv_transpose,
    depth_space,
    expand,
    flatten,
    gather,
    gemm,
    hard_sigmoid,
    identity,
    leaky_relu,
    matmul,
    max,
    mul,
    neg,
    pad,
    pool,
    reduce,
    relu,
    reshape,
    resize,
    s_shaped,
    shape,
    slice,
    split,
    squeeze,
    transpose,
    where,
)
from verify.onnx_import.registry import supported

__all__ = [
    "abs", "add", "batch_normalization", "clip", "concat", "conv", "conv_transpose", "depth_space", "expand", "flatten",
    "gather", "gemm", "hard_sigmoid", "identity", "leaky_relu", "matmul", "max", "mul", "neg", "pad", "pool", "reduce",
    "relu", "reshape", "resize", "s_shaped", "shape", "slice", "split", "squeeze", "supported", "transpose", "where",
]
