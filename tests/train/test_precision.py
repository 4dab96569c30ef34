"""Which precision is asked of a GPU's matrix units, and that it is put back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from sar_data.train.run.precision import exact, settle


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_a_gpu_trains_in_tf32_and_compares_features_in_float32() -> None:
    settle(torch.device("cuda"))
    assert torch.backends.cuda.matmul.allow_tf32
    with exact():
        assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32


def test_a_processor_is_asked_for_nothing() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    settle(torch.device("cpu"))
    assert not torch.backends.cuda.matmul.allow_tf32
