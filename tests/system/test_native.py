"""Compiled loops are kept in a folder of this user alone; what lies elsewhere is never loaded, for a cache is code."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sar_data.system import native
from tests.mini.strangers import given_away
from tests.places import ROOT

SOURCE = """
from sar_data.system.native import compile_loop

@compile_loop("i8(i8)")
def double(number):
    return 2 * number
"""


class Payload:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.makedirs, (str(self.mark), 0o777, True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of caches of its own, asked for anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    native.cache_folder.cache_clear()
    yield tmp_path / "caches" / "sar-data" / "numba"
    native.cache_folder.cache_clear()


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "code" / "doubling.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


def loaded(module: Path) -> Any:
    """Import the module anew, as another process would; return its function."""
    native.cache_folder.cache_clear()
    spec = importlib.util.spec_from_file_location("doubling", module)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.double(21) == 42
    return made.double


def poison(folder: Path, mark: Path) -> int:
    """Turn every index of a cache into one that leaves a mark; return how many."""
    indices = list(folder.rglob("*.nbi"))
    for path in indices:
        path.write_bytes(pickle.dumps(Payload(mark)))
    return len(indices)


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


def test_a_function_is_compiled_once_and_cached_for_this_user(home: Path, module: Path) -> None:
    assert hits(loaded(module)) == 0
    assert hits(loaded(module)) == 1
    assert home.stat().st_mode & 0o077 == 0
    assert list(home.rglob("*.nbi"))
    assert not list((module.parent / "__pycache__").glob("*.nbi"))


def test_a_trusted_index_would_run_its_payload(home: Path, module: Path, tmp_path: Path) -> None:
    loaded(module)
    assert poison(home, tmp_path / "mark") == 1
    loaded(module)
    assert (tmp_path / "mark").exists(), "else the tests below show nothing"


def test_a_cache_beside_the_source_is_not_loaded(home: Path, module: Path, tmp_path: Path) -> None:
    loaded(module)
    (index,) = home.rglob("*.nbi")
    beside = module.parent / "__pycache__"
    beside.mkdir(exist_ok=True)
    (beside / index.name).write_bytes(index.read_bytes())
    assert poison(beside, tmp_path / "mark") == 1
    assert hits(loaded(module)) == 1
    assert not (tmp_path / "mark").exists()
    home.rename(tmp_path / "gone")
    home.symlink_to(tmp_path / "nowhere")  # nor where there is no folder to keep a cache in
    assert loaded(module).stats.cache_path is None
    assert not (tmp_path / "mark").exists()


def test_a_folder_that_others_could_write_to_is_cleared_first(home: Path, module: Path, tmp_path: Path) -> None:
    loaded(module)
    assert poison(home, tmp_path / "mark") == 1
    home.chmod(0o777)
    assert hits(loaded(module)) == 0
    assert not (tmp_path / "mark").exists()
    assert home.stat().st_mode & 0o022 == 0
    assert hits(loaded(module)) == 1


@pytest.mark.parametrize("plant", ["of somebody else", "a link", "a file"])
def test_a_folder_of_another_user_is_not_used(
    plant: str, home: Path, module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(module)
    assert poison(home, tmp_path / "mark") == 1
    if plant == "of somebody else":
        given_away(home, monkeypatch)
    else:
        home.rename(tmp_path / "theirs")
        home.symlink_to(tmp_path / "theirs") if plant == "a link" else home.write_text("")
    function = loaded(module)
    assert function.stats.cache_path is None
    assert hits(function) == 0
    assert not (tmp_path / "mark").exists()


def test_functions_compile_without_a_writable_folder(home: Path, module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.parent.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(native.os, "access", lambda path, mode: False)  # as on a disk that is mounted read-only
        assert loaded(module).stats.cache_path is None
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert loaded(module).stats.cache_path is None


def test_the_variable_of_numba_sets_the_folder_and_other_code_keeps_its_cache(
    home: Path, module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "fast"))
    loaded(module)
    assert list((tmp_path / "fast" / "sar-data" / "numba").rglob("*.nbi"))
    assert not home.exists()
    assert str(tmp_path / "fast") == native.config.CACHE_DIR


def test_a_configuration_in_the_current_folder_sets_no_folder(home: Path, module: Path, tmp_path: Path) -> None:
    """Somebody who unpacks a stranger's folder owns all in it, also a cache that runs its payload."""
    pytest.importorskip("yaml", reason="numba reads its configuration by PyYAML")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".numba_config.yaml").write_text("cache_dir: planted\n")
    code = f"import sys; sys.path.insert(0, {str(module.parent)!r}); import doubling; print(doubling.double(21))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path / "data",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "42\n", done.stderr
    assert list(home.rglob("*.nbi"))
    assert not (tmp_path / "data" / "planted").exists()


def test_every_compiled_loop_uses_the_one_decorator() -> None:
    root = Path(native.__file__).parents[2]
    users = {
        str(path.relative_to(root))
        for path in (root / "sar_data").rglob("*.py")
        if any(word in path.read_text() for word in ("numba.njit", "numba.jit", "numba.vectorize", "import njit"))
    }
    assert users == {"sar_data/system/native.py"}
