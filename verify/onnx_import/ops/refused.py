"""Operators that are refused, and why. What is not listed here has an importer, a body of other operators, or is
unknown to ONNX; constants are computed with all operators but the random ones."""

from collections.abc import Mapping
from types import MappingProxyType

RANDOM = "random values have no bounds"
SEQUENCE = "sequences and optional values are not supported; tensors would be"
TEXT = "text and image files are not supported"
SHAPE = "the shape of its output depends on the data; constant data would be accepted"
INDICES = "positions that depend on the data are not supported; constant data would be accepted"
BITS = "bits of numbers that depend on the network input are not supported; constants would be"

REFUSED: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
                     "Multinomial"), RANDOM),
    **dict.fromkeys(("SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert",
                     "SequenceLength", "SequenceMap", "SplitToSequence", "ConcatFromSequence", "Optional",
                     "OptionalGetElement", "OptionalHasElement"), SEQUENCE),
    **dict.fromkeys(("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer",
                     "ImageDecoder"), TEXT),
    **dict.fromkeys(("NonZero", "Unique", "NonMaxSuppression"), SHAPE),
    **dict.fromkeys(("MaxUnpool", "TensorScatter"), INDICES),
    **dict.fromkeys(("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "BitCast"), BITS),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), "constants are computed; its length is no data"),
    "ConstantOfShape": "the shape of its output depends on the data; a constant shape would be accepted",
    "Range": "the number of its entries depends on the data; constant limits would be accepted",
    "Det": "a determinant is a polynomial of the degree of its size; constants would be accepted",
    "DynamicQuantizeLinear": "its scale depends on the data; QuantizeLinear with a constant scale would be accepted",
    "MaxRoiPool": "regions that depend on the data, or maxima over them, are not supported",
    "DeformConv": "positions that are read are no constants of the operator; Conv would be accepted",
    "RoiAlign": "regions are not supported; Resize with a region would be accepted",
    "STFT": "frames of signals are not supported; DFT would be accepted",
    "MelWeightMatrix": "its arguments depend on the network input; constants would be accepted",
})
