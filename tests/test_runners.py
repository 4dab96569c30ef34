"""Each runner keeps its law; a worker's death is told by the item it held, and no worker outlives its builder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest

from sar_data.errors import UsageError, WorkerDied
from sar_data.runners import Crew, Dask, Processes, Runner, Serial
from tests.contract.runners import RunnerContract, die_at_two, die_of, slow_first, square, touch
from tests.mini.hang import HANG_S
from tests.places import ROOT


class TestSerial(RunnerContract):
    @classmethod
    def opened(cls) -> AbstractContextManager[Runner]:
        return nullcontext(Serial())


class TestProcesses(RunnerContract):
    @classmethod
    def opened(cls) -> AbstractContextManager[Runner]:
        return Processes(2)

    def test_work_is_done_in_other_processes(self, runner: Runner, tmp_path: Path) -> None:
        paths = [str(tmp_path / str(x)) for x in range(8)]
        workers = {int(Path(path).read_text()) for path in runner.map(touch, paths)}
        assert os.getpid() not in workers
        assert 1 <= len(workers) <= 2


@pytest.mark.dask
class TestDask(RunnerContract):
    @classmethod
    def opened(cls) -> AbstractContextManager[Runner]:
        return Dask(2)

    def test_it_has_the_workers_that_were_asked_for(self, runner: Runner) -> None:
        assert runner.workers == 2


def test_a_workers_death_names_the_item_it_held_after_what_came_before() -> None:
    with Processes(2) as runner:
        results = runner.map(die_at_two, range(6))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(WorkerDied, match=r"while it worked on 2 .*run the same command again"):
            next(results)


def test_a_workers_death_names_a_few_of_many_items() -> None:
    units = [f"S1A_IW_GRDH_1SDV_20170613T165043_{i}" for i in range(512)]
    with Processes(1) as runner, pytest.raises(WorkerDied) as died:
        list(runner.map(die_of, [units]))
    assert f"while it worked on {units[0]}, " in str(died.value)
    assert f"{units[4]} and 507 more" in str(died.value)
    assert len(str(died.value)) < 500


SCRIPT = """
from sar_data.runners import Processes

def cube(x):
    return x**3

with Processes(2) as runner:
    print(list(runner.map(abs, [-1, 2, -3])), flush=True)
    list(runner.map(cube, [1]))
"""


SAFE = """
import os
from sar_data.runners import RUNNER

if __name__ == "__main__":
    with RUNNER(1) as runner:
        print(list(runner.map(abs, [-1, 2, -3])), os.environ.get("PYTHONSAFEPATH"), sep="\\n")
"""


@pytest.mark.parametrize("start", ["script", "stdin", "-c"])
def test_a_script_without_a_guard_works_but_for_what_it_defines_itself(start: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    words = {"script": ["script.py"], "stdin": ["-"], "-c": ["-c", SCRIPT]}[start]
    done = subprocess.run(
        [sys.executable, *words],
        input=SCRIPT,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[1, 2, 3]\n", done.stderr
    assert done.stderr.count("Traceback") == 1
    last = done.stderr.splitlines()[-1]
    assert "UsageError: worker processes cannot import what this script, prompt or notebook defines" in last
    assert 'if __name__ == "__main__":' in last


def test_a_guarded_script_may_map_what_it_defines(tmp_path: Path) -> None:
    lines = SCRIPT.replace("[1]", "[2]").replace("    list(", "    print(*").strip().splitlines()
    guarded = [*lines[:5], 'if __name__ == "__main__":', *(f"    {line}" for line in lines[5:])]
    (tmp_path / "script.py").write_text("\n".join(guarded))
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[1, 2, 3]\n8\n", "")


@pytest.mark.parametrize("runner", ["Processes", pytest.param("Dask", marks=pytest.mark.dask)])
def test_workers_import_nothing_of_the_current_folder(runner: str, tmp_path: Path) -> None:
    """A stranger's folder of data may have modules that are called as those which Python starts a process with."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("pickle", "selectors", "signal", "socket", "struct", "tempfile", "threading"):
        (data / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'a').write(__name__)")
    (tmp_path / "script.py").write_text(SAFE.replace("RUNNER", runner))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        cwd=data,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert not (tmp_path / "mark").exists()
    assert done.stdout == "[1, 2, 3]\nNone\n", done.stderr


def test_workers_end_with_the_block_that_opened_them(tmp_path: Path) -> None:
    with Processes(2) as runner:
        pids = {int(Path(path).read_text()) for path in runner.map(touch, [str(tmp_path / str(x)) for x in range(6)])}
        assert all(psutil.pid_exists(pid) for pid in pids)
    deadline = time.monotonic() + HANG_S
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers outlived their runner"
        time.sleep(0.05)


def test_a_map_that_is_abandoned_leaves_the_runner_usable() -> None:
    with Processes(2) as runner:
        results = runner.map(slow_first, range(100))
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        assert list(runner.map(square, range(4))) == [0, 1, 4, 9]


BUILDER = """
import sys, time
from pathlib import Path
from typing import Any
from sar_data.runners import Processes
from tests.contract.runners import touch

if __name__ == "__main__":
    with Processes(2) as runner:
        list(runner.map(touch, [str(Path(sys.argv[1], str(x))) for x in range(8)]))
        print("ready", flush=True)
        time.sleep(600)
"""


def test_no_worker_outlives_a_killed_builder(tmp_path: Path) -> None:
    script = tmp_path / "builder.py"
    script.write_text(BUILDER)
    (tmp_path / "pids").mkdir()
    builder = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "pids")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "ready\n"
        workers = {int(path.read_text()) for path in (tmp_path / "pids").iterdir()}
        assert all(psutil.pid_exists(pid) for pid in workers)
    finally:
        builder.send_signal(signal.SIGKILL)
        builder.wait()
        builder.stdout.close()  # type: ignore[union-attr]
    deadline = time.monotonic() + HANG_S
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in workers):
        assert time.monotonic() < deadline, "workers outlived their builder"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"workers": -1}, r"`workers=-1`: expected at least 1"),
        ({"dask_address": "tcp://x:1", "runner": "processes"}, r"expected `runner=dask`, found `runner=processes`"),
        ({"runner": "serial", "workers": 2}, r"`runner=serial` is one process: .* found `workers=2`"),
    ],
)
def test_a_crew_that_contradicts_itself_is_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Crew(**choice)


def test_a_crew_is_processes_and_dask_with_an_address() -> None:
    assert (Crew().kind, Crew(dask_address="tcp://x:1").kind) == ("processes", "dask")
    with Crew(workers=1).open_chosen() as alone:
        assert alone.workers == 1
