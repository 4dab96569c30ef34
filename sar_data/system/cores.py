"""Count the cores that this process may use, and share them out for a training job.

A container with two cores on a machine of 64 sees 64. That many threads or workers would wait for each other most
of the time. The limits are the process's affinity, the quotas of its control groups and the other ranks.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
BUSY = 1.5  # runnable processes per core, above which the machine is overloaded; a build just before gives 1
READERS = 4  # the most reading threads of a loader: enough to feed a GPU
OPENMP, LAUNCHED = "OMP_NUM_THREADS", "TORCHELASTIC_RUN_ID"
SPINS = 10_000  # about 20 µs: threads of one step arrive within this time where cores are free


def available_cores(root: Path = ROOT) -> int:
    """Return the number of cores this process may use: its affinity, limited by its quotas, at least 1.

    `root` is the folder with proc and sys.
    """
    return max(1, int(min(len(os.sched_getaffinity(0)), *_read_quotas(root), math.inf)))


def _read_quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of the control groups of this process and of their parents."""
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts, name = ("", "unified"), "cpu.max"
        elif "cpu" in controllers.split(","):
            mounts, name = (controllers, "cpu"), "cpu.cfs_quota_us"
        else:
            continue
        inner = Path(path.lstrip("/"))
        for mount in mounts:
            # In a container the path may be the host's and not exist here: then the mount itself is the group.
            for group in (inner, *inner.parents):
                yield _read_quota(root / "sys/fs/cgroup" / mount / group / name)


def _read_quota(file: Path) -> float:
    """Return the quota in a file of a control group, in cores; infinity where there is none."""
    words = _read_text(file).split()
    if file.name == "cpu.cfs_quota_us":
        words += _read_text(file.with_name("cpu.cfs_period_us")).split()
    try:
        quota, period = (int(value) for value in words)
    except ValueError:  # no such file, or "max"
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Threads:
    """A process's share of the cores: `compute` threads of torch and OpenMP, `read` threads of the loader.

    `ranks` is the number of processes of the job on this machine, `cores` what they may use together, `load` the
    load average of the last minute over all `processors` of the machine.
    """

    compute: int
    read: int
    ranks: int
    cores: int
    load: float
    processors: int

    def __str__(self) -> str:
        ranks, each = (f", {self.ranks} ranks", " each") if self.ranks > 1 else ("", "")
        return f"{self.cores} cores{ranks}: computing threads {self.compute}, reading threads {self.read}{each}"

    @property
    def warning(self) -> str | None:
        """Say that the cores are overloaded, and what helps; None where they are not."""
        if self.compute * self.ranks > self.cores:
            most = max(1, self.cores // self.ranks)
            return (
                f"{OPENMP}={self.compute} and {self.ranks} ranks on {self.cores} cores: threads wait for each other: "
                f"set {OPENMP} to {most} or less"
            )
        if self.load > BUSY * self.processors:
            remedy = f": set {OPENMP} to the number of free cores" if self.compute > 1 else ""
            return (
                f"load average {self.load:.1f} on {self.processors} processors: other programs use this machine, and "
                f"training may be many times slower{remedy}"
            )
        return None


def threads(
    environment: Mapping[str, str], *, computing: int, gpu: bool, reading: int | None = None, root: Path = ROOT
) -> Threads:
    """Share out the cores among the ranks of this machine, and the share of a rank among its threads.

    `computing` is the number of threads that torch chose by itself. It is raised only where torchrun had lowered it.
    The user's OMP_NUM_THREADS and `reading` are used as given. The result does not depend on the machine's load: a
    resumed run must compute with the same number of threads to give the same bits.
    """
    cores = available_cores(root)
    ranks = max(1, int(environment.get("LOCAL_WORLD_SIZE", 1)))
    share = max(1, cores // ranks)
    if (chosen := _threads_of_user(environment, root)) is not None:
        compute = chosen
    else:
        compute = share if LAUNCHED in environment else min(share, computing)
    # A processor takes much longer to compute a batch than to read it.
    read = reading or (min(READERS, share) if gpu else min(2, max(1, share // 2)))
    return Threads(compute, read, ranks, cores, os.getloadavg()[0], os.cpu_count() or 1)


def limit_spinning(environment: MutableMapping[str, str]) -> None:
    """Let waiting threads of OpenMP sleep after a moment; call this before torch is imported.

    By default they spin until the others arrive. Where another process uses one of their cores, that costs a time
    slice at every step of the computation. A value that the user has set is kept.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", str(SPINS))


def _threads_of_user(environment: Mapping[str, str], root: Path) -> int | None:
    """Return the user's OMP_NUM_THREADS, None where it is not set; torchrun sets 1 by itself."""
    first = environment.get(OPENMP, "").split(",")[0].strip()
    if not first.isdecimal() or first == "0":
        return None
    if first == "1" and LAUNCHED in environment:
        launcher = _read_text(root / f"proc/{os.getppid()}/environ").split("\0")  # as it was when the launcher started
        if launcher != [""] and not any(line.startswith(f"{OPENMP}=") for line in launcher):
            return None
    return int(first)
