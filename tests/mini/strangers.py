"""What somebody else may have put where we work: links, and files and folders of another user."""

from __future__ import annotations

import os
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
