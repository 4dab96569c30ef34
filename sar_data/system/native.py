"""What the compiled loops share: how they are compiled, and how they look at memory by its address."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import cgutils
from numba.extending import intrinsic

from sar_data.system import own

config: Any = numba.config


def compiled(*signatures: Any, reordered: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile for these signatures at import, to run without the interpreter's lock; keep the result for the next time.

    No fused multiply-add and no reordering: the numbers are those of numpy and torch, one operation at a time. Sums
    that may be `reordered` are so when they are compiled, never when they run: the same bits in every process. At
    import, because the first compiled function of a process takes half a second, which is not to be the first batch's,
    and because forked workers then inherit the machine code.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if reordered:
        options["fastmath"] = {"reassoc", "contract"}

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = _kept(function, options)
        if dispatcher is None:  # it is compiled in each process
            dispatcher = numba.njit(**options)(function)
        for signature in signatures:
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    return decorate


def _kept(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return the function with a cache in the folder of this user, None where there is none.

    A cache is code, and so is its index: one beside the source, or in a folder that others may write to, is not read.
    """
    folder = cache_folder()
    if folder is None:
        return None
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        made = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # the folder cannot be used
        return None
    finally:
        config.CACHE_DIR = before
    inside = made.stats.cache_path is not None and Path(made.stats.cache_path).is_relative_to(folder)
    return made if inside else None


@cache
def cache_folder() -> Path | None:
    """Return the folder of compiled functions, which is this user's own; None where none can be had.

    It lies in `sar-data` below NUMBA_CACHE_DIR, XDG_CACHE_HOME or ~/.cache.
    """
    try:
        home = config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home).absolute() / "sar-data" / "numba"
        folder.parent.mkdir(parents=True, exist_ok=True)
        own.private_folder(folder)
    except (OSError, RuntimeError):  # no leave, somebody else's, or no home
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


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
