"""The law book of a runner: results in order, failures at their turn, nothing left behind."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import BadRecord
from sar_data.runners import AHEAD, Runner


def square(x: int) -> int:
    return x * x


def slow_first(x: int) -> int:
    time.sleep(0.2 if x == 0 else 0)
    return x


def fail_at_three(x: int) -> int:
    if x == 3:
        raise BadRecord("a/b.tif", "expected a number, found three")
    return x


def touch(path: str) -> str:
    Path(path).write_text(str(os.getpid()))
    return path


def die_at_two(x: int) -> int:
    if x == 2:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def die_of(names: list[str]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class RunnerContract:
    """Inherit, and say in `opened` how the runner is opened that all tests of the class share."""

    @classmethod
    def opened(cls) -> AbstractContextManager[Runner]:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls) -> Iterator[Runner]:
        with cls.opened() as runner:
            yield runner

    def test_results_come_in_the_order_of_the_items(self, runner: Runner) -> None:
        assert list(runner.map(square, range(50))) == [x * x for x in range(50)]
        assert list(runner.map(slow_first, range(5))) == list(range(5))

    def test_no_items_give_no_results(self, runner: Runner) -> None:
        assert list(runner.map(square, [])) == []

    def test_a_runner_is_used_again_and_again(self, runner: Runner) -> None:
        assert [list(runner.map(square, [x])) for x in range(3)] == [[0], [1], [4]]

    def test_a_failure_is_raised_at_its_turn_as_it_is(self, runner: Runner) -> None:
        results = runner.map(fail_at_three, range(6))
        assert list(itertools.islice(results, 3)) == [0, 1, 2]
        with pytest.raises(BadRecord) as caught:
            next(results)
        assert (caught.value.path, caught.value.reason) == ("a/b.tif", "expected a number, found three")
        assert list(runner.map(square, [2])) == [4]

    def test_items_are_taken_a_few_at_a_time(self, runner: Runner) -> None:
        taken: list[int] = []

        def items() -> Iterator[int]:
            for x in itertools.count():
                taken.append(x)
                yield x

        results: Any = runner.map(square, items())
        assert list(itertools.islice(results, 5)) == [0, 1, 4, 9, 16]
        assert len(taken) <= 5 + AHEAD * runner.workers
        if hasattr(results, "close"):
            results.close()

    def test_work_is_done_where_the_files_are(self, runner: Runner, tmp_path: Path) -> None:
        paths = [str(tmp_path / str(x)) for x in range(4)]
        assert list(runner.map(touch, paths)) == paths
        assert all(Path(path).exists() for path in paths)
