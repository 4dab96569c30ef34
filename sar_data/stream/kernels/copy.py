"""The compiled loop that gathers the bytes of samples as they are stored."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from sar_data.stream.kernels.memory import MEMORY, Integers, Memory, address, check, check_memory, fits, outside
from sar_data.system.native import carray, compiled, pointer


def copy(memory: Memory, places: Integers, out: npt.NDArray[Any]) -> None:
    """Fill out[places[i]] with the bytes of sample i; raise BuildError where they are not all in its block."""
    check("out", out, out.dtype, out.ndim)
    check_memory(memory, places)
    flat = out.reshape(len(out), -1).view(np.uint8)
    stopped = int(_copy(memory, places, flat))
    if stopped >= 0:
        raise outside(memory, stopped, flat.shape[1], places, len(out))


@compiled(numba.i8(MEMORY, numba.i8[::1], numba.u1[:, ::1]))
def _copy(memory: Any, places: Any, out: Any) -> Any:
    size = out.shape[1]
    for i in range(len(places)):
        if not fits(memory, i, size, places[i], len(out)):
            return i
        out[places[i]] = carray(pointer(address(memory, i)), size, np.uint8)
    return -1
