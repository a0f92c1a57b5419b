"""Process-wide settings of the numerical libraries, made once at the start of a run.

TensorFloat-32 is switched off: it rounds products to 10 bits, which no error bound of this package accounts for.
"""

from __future__ import annotations

import ctypes
import sys

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
