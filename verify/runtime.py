"""Process-wide settings of the numerical libraries, made once at the start of a run.

TensorFloat-32 is switched off: it rounds products to 10 bits, which no error bound of this package accounts for;
`full_precision` does the same for as long as a verification inside another program runs.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def configure(threads: int | None = None) -> None:
    """Sets the number of threads (None keeps torch's choice), full float32 precision and the allocator's thresholds."""
    if threads is not None:
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    keep_freed_blocks()


@contextmanager
def full_precision() -> Iterator[None]:
    """Within it float32 products are rounded to float32 and nothing less, whatever the surrounding program chose.

    A training loop that speeds itself up by `set_float32_matmul_precision("medium")`, TensorFloat-32 or autocast would
    make the bounds wrong: with bfloat16 products by 1e-3 and more, on the CPU, too. The choices are restored at exit.
    """
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        parts = _precision_switches()
        before = [getattr(part, name) for part, name, _ in parts]
        try:
            for part, name, exact in parts:
                setattr(part, name, exact)
            yield
        finally:
            for (part, name, _), value in zip(parts, before, strict=True):
                setattr(part, name, value)


def _precision_switches() -> list[tuple[object, str, object]]:
    """(owner, attribute, exact value): one precision per kind of operation since torch 2.9, flags before."""
    cuda, cudnn, cpu = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    if hasattr(cudnn, "conv"):
        parts = (cuda.matmul, cudnn.conv, cudnn.rnn, cpu.matmul, cpu.conv, cpu.rnn)
        return [(part, "fp32_precision", "ieee") for part in parts]
    return [(cuda.matmul, "allow_tf32", False), (cudnn, "allow_tf32", False)]


def keep_freed_blocks() -> bool:
    """Tells glibc to keep large freed blocks instead of returning them to the kernel; True where that was possible.

    By default glibc maps every large block anew and unmaps it when freed, so each temporary tensor pays a page fault
    per 4 KiB: elementwise work on 4 to 64 MB ran 1.6 to 2.8 times slower (measured on one core, x86-64, glibc).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        mapped = mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        trimmed = mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    except (OSError, AttributeError):
        # A C library without mallopt (musl): slower, nothing else.
        return False
    return bool(mapped and trimmed)
