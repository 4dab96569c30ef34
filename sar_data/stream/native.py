"""What the compiled loops of this room share: how they are compiled, and how they look at memory by its address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import cgutils
from numba.extending import intrinsic


def compiled(function: Callable[..., Any]) -> Any:
    """Compile on first use for the types met, to run without the interpreter's lock; keep the result beside the file.

    No fused multiply-add and no reordering: the numbers are those of numpy and torch, one operation at a time.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep the cache in: compile in each process
        return numba.njit(**options)(function)


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    """Return an address, given as an integer, as a pointer for numba.carray."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return numba.types.voidptr(numba.types.int64), generate


pointer: Any = _pointer
carray: Any = numba.carray  # type: ignore[attr-defined]
