"""DepthToSpace and SpaceToDepth: blocks of channels against blocks of pixels."""

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("DepthToSpace", accepts="any")
def depth_to_space(call: Call) -> Variable:
    x, block = call.variable(0), call.attribute("blocksize")
    if x.rank != 4 or x.shape[1] % (block * block):
        raise ShapeMismatch(f"shape {list(x.shape)} does not hold blocks of {block}")
    b, c, h, w = x.shape
    depth = c // (block * block)
    column_first = call.text("mode", "DCR") == "CRD"
    split = (b, depth, block, block, h, w) if column_first else (b, block, block, depth, h, w)
    order = (0, 1, 4, 2, 5, 3) if column_first else (0, 3, 4, 1, 5, 2)
    return call.rearrange(
        x, lambda index: index.reshape(split).transpose(order).reshape(b, depth, h * block, w * block)
    )


@importer("SpaceToDepth", accepts="any")
def space_to_depth(call: Call) -> Variable:
    x, block = call.variable(0), call.attribute("blocksize")
    if x.rank != 4 or x.shape[2] % block or x.shape[3] % block:
        raise ShapeMismatch(f"shape {list(x.shape)} does not hold blocks of {block}")
    b, c, h, w = x.shape

    def moved(index: np.ndarray) -> np.ndarray:
        blocks = index.reshape(b, c, h // block, block, w // block, block).transpose(0, 3, 5, 1, 2, 4)
        return blocks.reshape(b, c * block * block, h // block, w // block)

    return call.rearrange(x, moved)
