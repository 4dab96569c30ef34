"""The compiled loop that reads samples from files: the interpreter's own would take its lock twice a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.system.native import DONE, MISMATCH, compile_loop, pread, run

Integers = npt.NDArray[np.int64]


def read(files: npt.NDArray[np.int32], offset: Integers, length: Integers, out: npt.NDArray[np.uint8]) -> int:
    """Read each sample from a file descriptor at an offset, one behind the other into `out`.

    Returns DONE, or the number of the first sample that is not there in full. Raises BuildError where `out` is too
    small.
    """
    return run(_read, files, offset, length, out)


@compile_loop("i8(i4[::1], i8[::1], i8[::1], u1[::1])")
def _read(files: Any, offset: Any, length: Any, out: Any) -> Any:
    if not len(files) == len(offset) == len(length):
        return MISMATCH
    at = 0
    for i in range(len(files)):
        if length[i] < 0 or length[i] > len(out) - at:
            return MISMATCH
        done = 0
        while done < length[i]:
            got = pread(files[i], out.ctypes.data + at + done, length[i] - done, offset[i] + done)
            if got <= 0:
                return i
            done += got
        at += length[i]
    return DONE
