"""The compiled loop that gathers the bytes of samples as they are stored."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.stream.kernels.memory import MEMORY, Integers, Memory, address, fits, matches, outside
from sar_data.system.native import DONE, MISMATCH, carray, compile_loop, pointer, run


def copy(memory: Memory, places: Integers, out: npt.NDArray[Any]) -> None:
    """Fill out[places[i]] with the bytes of sample i; raise BuildError where they are not all in its block."""
    if not out.flags.c_contiguous:  # what is flattened next would be another array
        raise BuildError(f"out: expected a C-contiguous array, found {out.shape} with strides {out.strides}")
    flat = out.view(np.uint8).reshape(len(out), out.nbytes // max(len(out), 1))
    stopped = run(_copy, memory, places, flat)
    if stopped != DONE:
        raise outside(memory, stopped, flat.shape[1], places, len(out))


@compile_loop(numba.i8(MEMORY, numba.i8[::1], numba.u1[:, ::1]))
def _copy(memory: Any, places: Any, out: Any) -> Any:
    if not matches(memory, places):
        return MISMATCH
    size = out.shape[1]
    for i in range(len(places)):
        if not fits(memory, i, size, places[i], len(out)):
            return i
        out[places[i]] = carray(pointer(address(memory, i)), size, np.uint8)
    return DONE
