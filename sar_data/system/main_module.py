"""The module that Python was started with: new processes import it, which would run its file again in each."""

from __future__ import annotations

import ast
import os
import pickletools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import FrameType

MAIN = "__main__"
SAFE_PATH = "PYTHONSAFEPATH"


def is_importable() -> bool:
    """Say whether a new process may import the main module.

    It may not while it runs a line outside `if __name__ == "__main__":`, which would start further processes in each;
    nor where it has no file: a notebook, a prompt, a script on stdin.
    """
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame and not (frame.f_code.co_name == "<module>" and frame.f_globals is vars(sys.modules[MAIN])):
        frame = frame.f_back
    return frame is None or _is_guarded(frame)


def _is_guarded(frame: FrameType) -> bool:
    """Say whether a module runs a line inside an `if` that tests `__name__`."""
    try:
        tree = ast.parse(Path(frame.f_code.co_filename).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return any(
        isinstance(node, ast.If)
        and node.lineno <= frame.f_lineno <= (node.end_lineno or 0)
        and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
        for node in ast.walk(tree)
    )


@contextmanager
def hide_main() -> Iterator[None]:
    """Let processes that start inside this block skip the main module."""
    main = vars(sys.modules[MAIN])
    before: dict[str, object] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(before)


@contextmanager
def safe_path() -> Iterator[None]:
    """Let Python processes that start inside this block begin without the current folder in their path.

    Multiprocessing starts them by `python -c`, which looks for the first modules in the current folder: that may be a
    stranger's, with a socket.py in it. Afterwards they get the path of this process.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def needs_main(value: object) -> bool:
    """Say whether another process needs the main module to unpickle a value, such as a function defined in it."""
    data = bytes(ForkingPickler.dumps(value))  # as it is sent; nothing is loaded here
    return MAIN.encode() in data and any(f"{word} ".startswith(f"{MAIN} ") for _, word, _ in pickletools.genops(data))
