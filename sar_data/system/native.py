"""What the compiled loops of this room share: how they are compiled, and how they look at memory by its address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import cgutils
from numba.extending import intrinsic


def compiled(*signatures: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile for these signatures at import, to run without the interpreter's lock; keep the result beside the file.

    No fused multiply-add and no reordering: the numbers are those of numpy and torch, one operation at a time. At
    import, because the first compiled function of a process takes half a second, which is not to be the first batch's.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(list(signatures), cache=True, **options)(function)
        except RuntimeError:  # no folder to keep the cache in: compile in each process
            return numba.njit(list(signatures), **options)(function)

    return decorate


def inlined(function: Callable[..., Any]) -> Any:
    """Mark a part of compiled functions, to be compiled with each of them."""
    return numba.njit(error_model="numpy")(function)


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    """Return an address, given as an integer, as a pointer for numba.carray."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return numba.types.voidptr(numba.types.int64), generate


pointer: Any = _pointer
carray: Any = numba.carray  # type: ignore[attr-defined]
# The system's own: the interpreter's takes its lock for every call.
pread: Any = numba.types.ExternalFunction(
    "pread", numba.types.intp(numba.types.int32, numba.types.intp, numba.types.intp, numba.types.int64)
)
type_of: Any = numba.typeof
