"""The errors a user can meet, one small tree under `VerifyError`.

Each class carries the process exit code that the command line returns for it; messages name the culprit (file, line
or node) and what would be accepted.
"""


class VerifyError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 70


class InvalidInput(VerifyError):
    """A file or argument that cannot be read as what it claims to be: missing, truncated, malformed, NaN weights."""

    exit_code = 2


class ShapeMismatch(InvalidInput):
    """Network and property (or tensor and layer) disagree about a shape."""


class UnsupportedOperator(VerifyError):
    """An ONNX operator, or a use of it, that the importer does not translate."""

    exit_code = 5


class UnsupportedSpec(VerifyError):
    """A property outside the supported language."""

    exit_code = 5


class ImportMismatch(VerifyError):
    """Our graph and onnxruntime disagree on the imported network beyond rounding."""

    exit_code = 70


class OutOfResources(VerifyError):
    """Memory (or another resource) is exhausted; carries no verdict."""

    exit_code = 6


class Float32Overflow(VerifyError):
    """Float32 executions may leave the range in which their rounding is bounded; carries no verdict."""

    exit_code = 3


class Unbounded(VerifyError):
    """An operator without a finite bound on the range of its input (1 / x across 0, exp that overflows); carries no
    verdict."""

    exit_code = 3


class InvalidCertificate(VerifyError):
    """A proof or witness that does not stand up to its check."""

    exit_code = 1


class BrokenInvariant(VerifyError):
    """An impossible state: a bug of ours. Never turned into a verdict."""

    exit_code = 70


class NoProof(VerifyError):
    """The property is decided, but no proof could be written; the message says why."""
