"""VNN-LIB 2.0 texts for the tests, put together from parts."""

HEADER = "(vnnlib-version <2.0>)\n"


def tensor(role: str, name: str, shape="[1,2]", dtype: str = "real", onnx: str = "") -> str:
    return f"(declare-{role} {name} {dtype} {shape}{f' {onnx}' if onnx else ''})"


def network(name: str = "f", x: str = "X", y: str = "Y", extra: str = "", dtype: str = "real", shape="[1,2]") -> str:
    """One input and one output of one shape; `extra`: an equivalence."""
    declared = tensor("input", x, shape, dtype) + " " + tensor("output", y, shape, dtype)
    return f"(declare-network {name} {extra} {declared})\n"


def box(x: str = "X", lower: str = "-1.0", upper: str = "1.0", size: int = 2) -> str:
    return "".join(f"(assert (and (>= {x}[0,{k}] {lower}) (<= {x}[0,{k}] {upper})))\n" for k in range(size))


def query(body: str, networks: str = "", bounded: str = box()) -> str:
    return HEADER + (networks or network()) + bounded + body
