"""Look at this machine before work begins: what is installed, how much room there is, who answers, what is missing.

Nothing heavy is imported for it: Prefect and Dask are asked over the network, torch in a process of its own, and only
where the machine has a GPU.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from sar_data import __version__, catalog
from sar_data.download.credentials import Credentials
from sar_data.errors import SarDataError
from sar_data.naming import few
from sar_data.system import cores

PACKAGE = "sar-data"
GIB = 1 << 30
DISK, MEMORY, FILES = 10 * GIB, 2 * GIB, 1024  # below which something is said
PATIENCE_S = 3.0
TORCH_S = 120.0  # the first import from a cold network disk
MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of control groups 2 and 1
ASKS_TORCH = (
    "import torch; print(torch.__version__, torch.version.cuda or 'no-CUDA', "
    "*(torch.cuda.get_device_name(i).replace(' ', '-') for i in range(torch.cuda.device_count())))"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. A `fault` stops some command from working, a `note` may be as you want it."""

    what: str
    state: Literal["ok", "note", "fault"]
    text: str
    remedy: str = ""


def doctor(out: str | Path = ".", *, environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Return what was found on this machine: versions, disk at `out`, memory, threads, servers, credentials, caches.

    Every finding but the sound ones has a remedy. Credentials are counted by the names that hold them; no value of one
    is read out. `environment` is that of the process unless another one is given.
    """
    environ = os.environ if environment is None else environment
    checks = (
        _python(),
        _extras(),
        _datasets(),
        _disk(Path(out)),
        _files(),
        _memory(),
        _threads(environ),
        _gpu(),
        _prefect(environ),
        _dask(environ),
        _credentials(environ),
        _check_compiled(),
    )
    return [finding for check in checks for finding in check]


def _python() -> Iterator[Finding]:
    versions = {name: _version(name) for name in _list_required("")}
    if missing := [name for name, what in versions.items() if what is None]:
        yield Finding("packages", "fault", f"not installed: {few(missing)}", f"pip install {PACKAGE}")
    named = ", ".join(
        f"{name} {versions[name]}" for name in ("numpy", "pyarrow", "numba", "zarr") if versions.get(name)
    )
    yield Finding("versions", "ok", f"{PACKAGE} {__version__}, Python {sys.version.split()[0]}, {named}")


def _extras() -> Iterator[Finding]:
    """Tell which extras are complete; one that is not is no fault, for the core runs without."""
    for extra in metadata(PACKAGE).get_all("Provides-Extra") or ():
        if extra in ("dev", "bench", "docs"):
            continue
        if missing := [name for name in _list_required(extra) if _version(name) is None]:
            text = f"not installed: {few(missing)}"
            yield Finding(f"extra {extra}", "note", text, f"if you need it: pip install '{PACKAGE}[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "ok", "installed")


def _list_required(extra: str) -> list[str]:
    """Return the packages that an extra requires, or the core for no extra."""
    lines = [line.partition(";") for line in requires(PACKAGE) or ()]
    names = ((re.split(r"[^\w.-]", line, maxsplit=1)[0], marker) for line, _, marker in lines)
    return [name for name, marker in names if "".join(re.findall(r"extra == ['\"](.+?)['\"]", marker)) == extra]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _datasets() -> Iterator[Finding]:
    known, wrong = catalog.sound()
    yield Finding("datasets", "ok", f"{len(known)} can be built")
    for line in wrong:
        yield Finding("datasets", "fault", line, "correct or uninstall the package that declares it")


def _disk(path: Path) -> Iterator[Finding]:
    folder = next(parent for parent in (path.absolute(), *path.absolute().parents) if os.path.isdir(parent))
    free = shutil.disk_usage(folder).free
    text = f"{free / GIB:,.1f} GiB free at {folder}"
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("disk", "fault", f"{folder} is not yours to write to", "choose another folder for `out=…`")
    elif free < DISK:
        yield Finding("disk", "note", text, "free some space, or keep builds on another disk: `out=…`")
    else:
        yield Finding("disk", "ok", text)


def _files() -> Iterator[Finding]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    text = "no limit of open files" if most == resource.RLIM_INFINITY else f"{most:,} may be open at once"
    low = most != resource.RLIM_INFINITY and most < FILES
    yield Finding("open files", "note", text, f"ulimit -n {4 * FILES}") if low else Finding("open files", "ok", text)


def _memory() -> Iterator[Finding]:
    sizes = [int(kib) << 10 for kib in re.findall(r"MemAvailable: +(\d+) kB", _text(Path("/proc/meminfo")))]
    limits = (_text(Path("/sys/fs/cgroup") / name).strip() for name in MEMORY_LIMITS)
    free = min([*sizes, *(int(limit) for limit in limits if limit.isdecimal())], default=None)
    if free is None:
        yield Finding("memory", "note", "this system does not tell", "look at it with its own tools")
    elif free < MEMORY:
        yield Finding("memory", "note", f"{free / GIB:.1f} GiB available", "fewer `workers=…` need less")
    else:
        yield Finding("memory", "ok", f"{free / GIB:,.1f} GiB available")


def _threads(environ: Mapping[str, str]) -> Iterator[Finding]:
    threads = cores.threads(environ, computing=cores.available_cores(), gpu=False)
    if threads.warning:
        text, _, remedy = threads.warning.rpartition(": ")
        yield Finding("threads", "note", text or threads.warning, remedy if text else "wait, or take another machine")
    else:
        yield Finding("threads", "ok", str(threads))


def _gpu() -> Iterator[Finding]:
    there = any(Path("/dev").glob("nvidia[0-9]*"))
    installed = find_spec("torch") is not None
    if not there:
        yield Finding("GPU", "ok", "none on this machine: training runs on the processor")
    elif not installed:
        yield Finding("GPU", "note", "there is one, and no torch", f"to train: pip install '{PACKAGE}[train]'")
    else:
        yield _asked_torch()


def _asked_torch() -> Finding:
    """Return what torch says of the GPUs, asked in a process of its own."""
    command = [sys.executable, "-P", "-c", ASKS_TORCH]  # -P: there may be a stranger's torch.py in the current folder
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TORCH_S)
    except subprocess.TimeoutExpired:
        return Finding("GPU", "fault", f"torch did not answer in {TORCH_S:.0f} s", "restart the GPU's driver")
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        return Finding("GPU", "fault", f"torch cannot be imported: {why:.160}", f"pip install '{PACKAGE}[train]'")
    torch, cuda, *names = done.stdout.split()
    if not names:
        remedy = "install torch for your driver's CUDA (pytorch.org), or look whether nvidia-smi works"
        return Finding("GPU", "fault", f"there is one that torch {torch} (CUDA {cuda}) cannot use", remedy)
    return Finding("GPU", "ok", f"{few(names)}; torch {torch}, CUDA {cuda}")


def _prefect(environ: Mapping[str, str]) -> Iterator[Finding]:
    if _version("prefect") is None:
        return  # which the extra says
    url = environ.get("PREFECT_API_URL", "")
    start = "prefect server start; export PREFECT_API_URL=http://127.0.0.1:4200/api"
    if not url:
        yield Finding("Prefect", "note", "no PREFECT_API_URL: flows have no server", f"for flows: {start}")
    elif _answers(url):
        yield Finding("Prefect", "ok", f"a server answers at {_shown(url)}")
    else:
        yield Finding("Prefect", "fault", f"expected a server at {_shown(url)}, found none that answers", start)


def _dask(environ: Mapping[str, str]) -> Iterator[Finding]:
    address = environ.get("SAR_DATA_DASK_ADDRESS", "")
    if not address:
        return
    if _answers(address):
        yield Finding("Dask", "ok", f"a scheduler answers at {_shown(address)}")
    else:
        remedy = "dask scheduler, or unset SAR_DATA_DASK_ADDRESS"
        yield Finding("Dask", "fault", f"expected a scheduler at {_shown(address)}, found none that answers", remedy)


def _answers(url: str) -> bool:
    """Say whether somebody listens at an address."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with closing(socket.create_connection((parts.hostname or "", port), timeout=PATIENCE_S)):
            return True
    except (OSError, ValueError):
        return False


def _shown(url: str) -> str:
    """Return an address without a login that stands in it."""
    return re.sub(r"//[^/]*@", "//", url)


def _credentials(environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        places = Credentials.of(environ).places()
    except SarDataError as error:
        yield Finding("credentials", "fault", *_split_remedy(str(error)))
        return
    if places:
        yield Finding("credentials", "ok", f"present: {few(places)}")
    else:
        text = "none: files behind a login cannot be fetched"
        yield Finding("credentials", "note", text, "if you need one: machine HOST login NAME password … in ~/.netrc")


def _split_remedy(message: str) -> tuple[str, str]:
    """Return what is wrong and the remedy, which the last colon parts."""
    text, _, remedy = message.rpartition(": ")
    return text, remedy


def _check_compiled() -> Iterator[Finding]:
    from sar_data.system.native import cache_folder

    folder = cache_folder()
    if folder is not None:
        yield Finding("numba cache", "ok", str(folder))
    else:
        text = "no folder of your own to write to: each process compiles again, for seconds"
        yield Finding("numba cache", "note", text, "export NUMBA_CACHE_DIR=/a/folder/of/your/own")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
