"""The cores that a process may use are those of its affinity and its container, and a job shares them out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sar_data.system import cores
from sar_data.system.cores import Threads, available_cores, limit_spinning, threads

V1, V2 = "3:cpuset:/\n2:cpu,cpuacct:{}\n0::{}\n", "0::{}\n"


def tree(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Write the part of a system that tells of control groups."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may use eight cores, whatever this machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2.format("/"), {"cpu.max": "300000 100000"}, 3),
        (V2.format("/job"), {"job/cpu.max": "max 100000", "cpu.max": "350000 100000"}, 3),  # of the group around it
        (V2.format("/job/step"), {"job/step/cpu.max": "200000 100000", "job/cpu.max": "150000 50000"}, 2),
        (V2.format("/host/docker/4f2a"), {"cpu.max": "500000 100000"}, 5),  # a path that only the host has
        (V2.format("/"), {"cpu.max": "20000 100000"}, 1),  # less than one core is one all the same
        (V2.format("/"), {"cpu.max": "1600000 100000"}, 8),
        (V2.format("/"), {"cpu.max": "max 100000"}, 8),
        (V1.format("/job", "/"), {f"cpu,cpuacct/job/cpu.cfs_{name}_us": "100000" for name in ("quota", "period")}, 1),
        (V1.format("/", "/"), {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        (V1.format("/", "/"), {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        (V1.format("/", "/s"), {"unified/s/cpu.max": "300000 100000"}, 3),  # both generations at once
        (V2.format("/"), {}, 8),
        ("", {}, 8),
    ],
)
def test_quotas_of_all_parent_control_groups_limit_the_cores(
    groups: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    root = tree(tmp_path, groups, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert available_cores(root) == expected


def test_a_process_bound_to_one_core_has_one() -> None:
    first = min(os.sched_getaffinity(0))
    script = (
        f"import os; os.sched_setaffinity(0, [{first}])\n"
        "from sar_data.system.cores import available_cores\nprint(available_cores())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def shared(tmp_path: Path, environment: dict[str, str] | None = None, **chosen: Any) -> tuple[int, int]:
    found = threads(environment or {}, **{"computing": 8, "gpu": False, "root": tmp_path, **chosen})
    return found.compute, found.read


@pytest.mark.usefixtures("eight")
def test_cores_are_shared_among_ranks_and_between_computing_and_reading(tmp_path: Path) -> None:
    assert shared(tmp_path) == (8, 2)
    assert shared(tmp_path, computing=4) == (4, 2)  # torch knows that two of its cores are one
    assert shared(tmp_path, gpu=True) == (8, 4)
    assert shared(tmp_path, reading=7) == (8, 7)
    launched = {"LOCAL_WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "none"}
    assert shared(tmp_path, launched, computing=1) == (2, 1)
    assert shared(tmp_path, {**launched, "LOCAL_WORLD_SIZE": "16"}, computing=1) == (1, 1)


@pytest.mark.usefixtures("eight")
def test_ranks_share_the_quota_and_not_the_whole_machine(tmp_path: Path) -> None:
    root = tree(tmp_path, V2.format("/"), {"sys/fs/cgroup/cpu.max": "200000 100000\n"})
    assert shared(root) == (2, 1)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(("told", "compute"), [("3", 3), ("12", 12), ("2,1", 2), ("", 8), ("0", 8), ("many", 8)])
def test_the_number_of_threads_of_the_user_is_used(told: str, compute: int, tmp_path: Path) -> None:
    assert shared(tmp_path, {"OMP_NUM_THREADS": told})[0] == compute


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("launcher", "compute"),
    [("PATH=/bin\0HOME=/root\0", 4), ("PATH=/bin\0OMP_NUM_THREADS=1\0", 1), (None, 1)],
    ids=["set by torchrun", "set by the user", "nobody knows"],
)
def test_the_single_thread_that_torchrun_sets_is_ignored(launcher: str | None, compute: int, tmp_path: Path) -> None:
    if launcher is not None:
        tree(tmp_path, "", {f"proc/{os.getppid()}/environ": launcher})
    environment = {"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}
    assert shared(tmp_path, environment, computing=1)[0] == compute


def given(**chosen: Any) -> Threads:
    return Threads(**{"compute": 2, "read": 1, "ranks": 1, "cores": 4, "load": 0.5, "processors": 4, **chosen})


def test_an_overloaded_machine_gives_a_warning() -> None:
    assert given().warning is None
    assert given(load=4.4).warning is None  # as after a build on all cores
    assert "load average 9.0 on 4 processors" in str(given(load=9.0).warning)
    assert "set OMP_NUM_THREADS" in str(given(load=9.0).warning)
    assert "set OMP_NUM_THREADS" not in str(given(load=9.0, compute=1).warning)
    assert "OMP_NUM_THREADS=8 and 1 ranks on 4 cores" in str(given(compute=8).warning)
    assert "set OMP_NUM_THREADS to 2 or less" in str(given(compute=4, ranks=2).warning)


def test_the_log_line_has_cores_ranks_and_threads() -> None:
    assert str(given()) == "4 cores: computing threads 2, reading threads 1"
    assert str(given(ranks=2)) == "4 cores, 2 ranks: computing threads 2, reading threads 1 each"


def test_waiting_threads_sleep_unless_the_user_sets_another_policy() -> None:
    environment: dict[str, str] = {}
    limit_spinning(environment)
    assert environment == {"GOMP_SPINCOUNT": str(cores.SPINS)}
    for own in ({"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}):
        told = dict(own)
        limit_spinning(told)
        assert told == own
