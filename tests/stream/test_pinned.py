"""Memory that copies to a GPU still read, without a GPU: what is held, and when it is let go."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")

from sar_data.torch import loader  # noqa: E402
from sar_data.torch.pinned import MOST, Flights, sent  # noqa: E402


def test_memory_is_let_go_after_its_copy_has_arrived_and_not_before() -> None:
    held: list[weakref.ref[Any]] = []
    there_while_waiting: list[bool] = []

    class Mark:
        def synchronize(self) -> None:
            there_while_waiting.append(held[len(there_while_waiting)]() is not None)

    flights = Flights(torch.device("cpu"), Mark)
    for _ in range(MOST + 3):
        source = np.zeros(4)
        held.append(weakref.ref(source))
        flights.hold(source)
        del source
    assert there_while_waiting == [True] * 3
    assert [one() is not None for one in held] == [False] * 3 + [True] * MOST


@pytest.mark.parametrize("fit", [{}, {"crop": 4}, {"pad": 16}], ids=str)
def test_a_loader_holds_the_memory_that_every_batch_was_sent_from(zarr: Path, fit: dict[str, int]) -> None:
    with loader(zarr, batch_size=8, device="cpu", normalize=None, fill=None, **fit) as stream:
        held: list[Any] = []
        flights = Flights(torch.device("cpu"), lambda: None)
        flights.hold = held.append  # type: ignore[method-assign]
        stream._flights = flights
        batches = list(stream)
    assert len(held) == len(batches) > 1
    for batch, source in zip(batches, held, strict=True):
        if fit:  # cut on the processor, and sent as it is
            assert batch["image"].data_ptr() == source.ctypes.data
        assert len(source) == len(batch["image"])


def test_what_is_sent_to_a_processor_is_the_tensor_itself() -> None:
    values = torch.arange(4)
    assert sent(values, None).data_ptr() == sent(values, torch.device("cpu")).data_ptr() == values.data_ptr()
