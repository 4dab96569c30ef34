"""Pieces of work side by side: their order, their threads, and what one of them raises."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from sar_data.train.probe.parallel import run_parallel
from tests.mini.hang import HANG_S

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_pieces() -> None:
    assert run_parallel(lambda piece: piece * 2, range(9), CPU) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert run_parallel(lambda piece: piece, [], CPU) == []


def test_two_pieces_are_at_work_at_once_with_half_of_the_threads_each() -> None:
    both = threading.Barrier(2, timeout=HANG_S)

    def work(piece: int) -> int:
        both.wait()
        return torch.get_num_threads()

    assert run_parallel(work, [0, 1], CPU) == [2, 2]


def test_afterwards_old_and_new_threads_have_all_cores_again() -> None:
    run_parallel(lambda piece: piece, range(3), CPU)
    new: list[int] = []
    thread = threading.Thread(target=lambda: new.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert (torch.get_num_threads(), new) == (4, [4])


def test_one_piece_and_a_gpu_keep_to_the_thread_they_are_in() -> None:
    here = threading.current_thread().name
    assert run_parallel(lambda piece: threading.current_thread().name, [0], CPU) == [here]
    assert run_parallel(lambda piece: threading.current_thread().name, [0, 1], torch.device("cuda")) == [here, here]


def test_after_an_error_nothing_is_begun_and_it_is_raised() -> None:
    begun: list[int] = []

    def work(piece: int) -> None:
        begun.append(piece)
        if piece == 0:
            raise ValueError("piece 0")
        time.sleep(0.01)

    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="piece 0"):
        run_parallel(work, range(400), CPU)
    assert len(begun) < 400
    assert torch.get_num_threads() == 2
