"""The folder of an export: it appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sar_data.errors import TargetError
from sar_data.system import locks, private
from sar_data.system.durable import explain_errors, sync_path

WORKING = ".exporting"


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder that becomes `out` when the block succeeds; a block that fails leaves nothing.

    It lies in a hidden folder beside `out`, which is locked; what a killed export left there is removed first. Raises
    TargetError where `out` is a link or a file or has files, where another export writes it, and where it cannot be
    written.
    """
    out = Path(os.path.abspath(out))
    work = out.with_name(f".{out.name}{WORKING}")
    with explain_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_symlink():  # no folder can take its place
            raise TargetError(f"{out}: expected a folder, found a link: remove it, or choose another `out=…`")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise TargetError(f"{out}: expected no such folder, or an empty one: remove it, or choose another `out=…`")
        lock = locks.acquire(work, lambda: private.open_folder(work), lambda: _refuse(out))
        try:
            private.make_private(lock)
            private.clear_folder(work)
            folder = work / "export"
            folder.mkdir()
            yield folder
            os.sync()  # once: to flush each of a million files takes hours
            os.rename(folder, out)
            sync_path(out.parent)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            locks.release(lock)


def _refuse(out: Path) -> None:
    raise TargetError(f"{out}: another export writes it. Wait for it, or stop it.")
