"""What somebody else may have put where we work: links, and files and folders of another user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sar_data.system import private

NOBODY = 65534


def given_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file or a folder somebody else's; who may not do that becomes somebody else."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        return
    stranger = os.geteuid() + 1
    monkeypatch.setattr(private.os, "geteuid", lambda: stranger)
    monkeypatch.setattr(private, "_own_user_in", lambda folder: stranger)


@contextmanager
def without_privileges(home: Path) -> Iterator[None]:
    """Give `home` to a user whom modes stop, and be that user; who is not root is one already."""
    if os.geteuid() != 0:
        yield
        return
    for folder, names, files in os.walk(home):
        for path in (folder, *(os.path.join(folder, name) for name in (*names, *files))):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
