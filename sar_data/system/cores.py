"""How many cores this process may keep busy, and how a training job shares them out.

A container of two cores on a machine of 64 sees 64. So many threads or workers would then wait for each other most of
the time. What counts is the process's affinity, the quotas of its control groups and the ranks beside it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
BUSY = 1.5  # runnable processes a core, above which a machine has more work than cores; a build just before gives 1
READERS = 4  # the most threads of a loader on its own: what feeds a GPU
OPENMP, LAUNCHED = "OMP_NUM_THREADS", "TORCHELASTIC_RUN_ID"
SPINS = 10_000  # about 20 µs, in which threads of one step arrive where cores are free


def available(root: Path = ROOT) -> int:
    """Return the cores this process may use: those of its affinity, no more than its control groups' quota, at least 1.

    `root` is the folder that has proc and sys.
    """
    return max(1, int(min(len(os.sched_getaffinity(0)), *_quotas(root), math.inf)))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of the control groups that hold this process, and of those around them."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts, name = ("", "unified"), "cpu.max"
        elif "cpu" in controllers.split(","):
            mounts, name = (controllers, "cpu"), "cpu.cfs_quota_us"
        else:
            continue
        inner = Path(path.lstrip("/"))
        for mount in mounts:
            # In a container the path may be the host's, which is not there: then the mount itself is the group.
            for group in (inner, *inner.parents):
                yield _cores(root / "sys/fs/cgroup" / mount / group / name)


def _cores(file: Path) -> float:
    """Return the quota that a file of a control group tells, in cores; infinity where there is none."""
    told = _text(file).split()
    if file.name == "cpu.cfs_quota_us":
        told += _text(file.with_name("cpu.cfs_period_us")).split()
    try:
        quota, period = (int(value) for value in told)
    except ValueError:  # no such file, or "max"
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Threads:
    """A process's share of the cores: `compute` threads of torch and OpenMP, `read` threads of the loader.

    `ranks` are the processes of the job on this machine, `cores` what they may use together, `load` the machine's
    load average of the last minute over all its `processors`.
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
        """Say that the cores have more work than they can do, and what helps; None where they have not."""
        if self.compute * self.ranks > self.cores:
            most = max(1, self.cores // self.ranks)
            return (
                f"{OPENMP}={self.compute} and {self.ranks} ranks on {self.cores} cores: threads wait for each other: "
                f"set {OPENMP}={most} or less"
            )
        if self.load > BUSY * self.processors:
            remedy = f": set {OPENMP} to the number of cores that are free" if self.compute > 1 else ""
            return (
                f"load average {self.load:.1f} on {self.processors} processors: others use this machine, and training "
                f"may be many times slower{remedy}"
            )
        return None


def threads(
    environment: Mapping[str, str], *, computing: int, gpu: bool, reading: int | None = None, root: Path = ROOT
) -> Threads:
    """Share out the cores among the ranks of this machine, and a rank's share among its threads.

    `computing` is the number of threads that torch has taken by itself, which is never raised but where torchrun had
    lowered it; what the user sets as OMP_NUM_THREADS, or as `reading`, is taken as it is. The answer does not depend on
    the machine's load: a run that goes on must compute with as many threads to give the same bits.
    """
    cores = available(root)
    ranks = max(1, int(environment.get("LOCAL_WORLD_SIZE", 1)))
    share = max(1, cores // ranks)
    if (told := _told(environment, root)) is not None:
        compute = told
    else:
        compute = share if LAUNCHED in environment else min(share, computing)
    # On a processor a batch takes much longer to compute than to read.
    read = reading or (min(READERS, share) if gpu else min(2, max(1, share // 2)))
    return Threads(compute, read, ranks, cores, os.getloadavg()[0], os.cpu_count() or 1)


def yield_early(environment: MutableMapping[str, str]) -> None:
    """Let OpenMP's threads wait for each other asleep, after a moment; call it before torch is imported.

    By default they spin for as long as it takes. Where another process has a core of theirs, that is a time slice at
    every step of the computation. What the user says of it is left as it is.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", str(SPINS))


def _told(environment: Mapping[str, str], root: Path) -> int | None:
    """Return the user's own OMP_NUM_THREADS, None where there is none: torchrun sets 1 where nobody did."""
    first = environment.get(OPENMP, "").split(",")[0].strip()
    if not first.isdecimal() or first == "0":
        return None
    if first == "1" and LAUNCHED in environment:
        launcher = _text(root / f"proc/{os.getppid()}/environ").split("\0")  # as it was when the launcher began
        if launcher != [""] and not any(line.startswith(f"{OPENMP}=") for line in launcher):
            return None
    return int(first)
