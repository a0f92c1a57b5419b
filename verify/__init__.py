"""verify: certified-robustness verification of neural networks.

The public names, resolved on first use: `verify --help` must not pay for importing torch.
"""

import time
from importlib import import_module
from types import MappingProxyType

_HOME = MappingProxyType({
    "Budget": "verify.budget",
    "Reason": "verify.result",
    "Result": "verify.result",
    "Spec": "verify.query",
    "Verdict": "verify.result",
    "VerifyError": "verify.errors",
    "Witness": "verify.result",
    "linear": "verify.properties",
    "load_network": "verify.onnx_import.model",
    "network": "verify.statements",
    "output_range": "verify.properties",
    "read_spec": "verify.vnnlib",
    "robustness": "verify.properties",
    "spec": "verify.statements",
    "specs": "verify.specs",
    "targeted": "verify.properties",
    "verify": "verify.api",
})

__version__ = "0.1.0"
STARTED = time.monotonic()  # when the process first touched this package: `--timeout` counts from here
__all__ = [
    "Budget", "Reason", "Result", "Spec", "Verdict", "VerifyError", "Witness", "__version__", "linear", "load_network",
    "network", "output_range", "read_spec", "robustness", "spec", "specs", "targeted", "verify",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOME[name])
    return home if home.__name__ == f"{__name__}.{name}" else getattr(home, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
