"""One file per ONNX operator; importing this package fills the registry."""

from verify.onnx_import.ops import (
    abs,
    add,
    clip,
    conv,
    flatten,
    gemm,
    hard_sigmoid,
    identity,
    leaky_relu,
    matmul,
    max,
    mul,
    neg,
    pool,
    relu,
    reshape,
    s_shaped,
)
from verify.onnx_import.registry import supported

__all__ = [
    "abs", "add", "clip", "conv", "flatten", "gemm", "hard_sigmoid", "identity", "leaky_relu", "matmul", "max", "mul",
    "neg", "pool", "relu", "reshape", "s_shaped", "supported",
]
