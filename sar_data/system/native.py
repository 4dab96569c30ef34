"""What the compiled loops share: how they are compiled, and how they access memory by its address."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import cgutils
from numba.extending import intrinsic

from sar_data.errors import BuildError
from sar_data.system import private

config: Any = numba.config
DONE, MISMATCH = -1, -2  # where a loop stopped, if at no sample


def compile_loop(*signatures: Any, reorder: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile for these signatures at import, to run without the interpreter's lock; cache the machine code.

    There is no fused multiply-add and no reordering: the numbers are those of numpy and torch, one operation at a time.
    With `reorder`, sums are reordered at compile time, never at run time: the same bits in every process. Loops compile
    at import, because the first one of a process takes half a second, which must not delay the first batch, and because
    forked workers then inherit the machine code.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if reorder:
        options["fastmath"] = {"reassoc", "contract"}

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = _compile_cached(function, options)
        if dispatcher is None:  # compiled in each process
            dispatcher = numba.njit(**options)(function)
        for signature in signatures:
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    return decorate


def _compile_cached(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return the function with a cache in this user's folder, None where there is none.

    A cache is code, and so is its index. One beside the source, or in a folder that others may write to, is not read.
    """
    folder = cache_folder()
    if folder is None:
        return None
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # the folder cannot be used
        return None
    finally:
        config.CACHE_DIR = before
    inside = dispatcher.stats.cache_path is not None and Path(dispatcher.stats.cache_path).is_relative_to(folder)
    return dispatcher if inside else None


@cache
def cache_folder() -> Path | None:
    """Return the folder of compiled functions, private to this user; None where it cannot be created.

    It lies in `sar-data` below NUMBA_CACHE_DIR, XDG_CACHE_HOME or ~/.cache. numba's own configuration does not count:
    it has what .numba_config.yaml of the current folder says, which may be a stranger's.
    """
    try:
        home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home).absolute() / "sar-data" / "numba"
        folder.parent.mkdir(parents=True, exist_ok=True)
        private.private_folder(folder)
    except (OSError, RuntimeError):  # no permission, another user's folder, or no home
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def inline(function: Callable[..., Any]) -> Any:
    """Mark a function to be compiled into each compiled function that calls it."""
    return numba.njit(error_model="numpy")(function)


def run(loop: Any, *arguments: Any) -> int:
    """Return where a loop stopped: a sample, or DONE; raise BuildError for arrays that are not what it is made for."""
    try:
        stopped = int(loop(*arguments))
    except TypeError as error:  # of the loop's signature
        raise BuildError(f"expected C-contiguous arrays of the types that the loop is compiled for: {error}") from error
    if stopped == MISMATCH:
        shapes = [getattr(part, "shape", part) for part in arguments]
        raise BuildError(f"expected arrays that fit together, found {shapes}"[:500])
    return stopped


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    """Return an address, given as an integer, as a pointer for numba.carray."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return numba.types.voidptr(numba.types.int64), generate


pointer: Any = _pointer
carray: Any = numba.carray  # type: ignore[attr-defined]
# The function of the system: the interpreter's own takes its lock for every call.
pread: Any = numba.types.ExternalFunction(
    "pread", numba.types.intp(numba.types.int32, numba.types.intp, numba.types.intp, numba.types.int64)
)
type_of: Any = numba.typeof
