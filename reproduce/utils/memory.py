"""Memory that a process keeps, in place of giving it back and asking for it again."""

import contextlib
import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Names of glibc's malloc.h."""


def keep_memory() -> None:
    """Let malloc keep what is freed, and take large blocks from it, too.

    A step of training frees gigabytes that the next one asks for. glibc gives each large block
    back at once, and the system clears its pages anew: a third of the time of some steps. Where
    there is no glibc nothing happens. Results do not depend on it.
    """
    with contextlib.suppress(OSError, AttributeError):
        glibc = ctypes.CDLL("libc.so.6")
        glibc.mallopt(MMAP_MAX, 0)
        glibc.mallopt(TRIM_THRESHOLD, -1)
