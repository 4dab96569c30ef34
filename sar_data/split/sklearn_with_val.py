"""A published random split without val, with whole blocks of ground of train moved to val."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sar_data.record import Record
from sar_data.split.blocks import Blocks
from sar_data.split.policy import Assignment, Lists
from sar_data.split.stratified import SklearnStratified


@dataclass(frozen=True, slots=True, kw_only=True)
class SklearnWithVal(SklearnStratified):
    """Split train and test as SklearnStratified does, then move blocks of neighbouring patches of train to val.

    Test is exactly that of SklearnStratified. `carve` is the target share of train's patches for val; blocks are those
    of Blocks, of `size` by `size` patches. A patch of train within `buffer` patches of val is left out, so that no
    model is chosen on neighbours of its training data. Classes have no equal shares in val. Test has neighbours in
    train and val, as in the published split.
    """

    carve: float = 0.1
    size: int = 10
    buffer: int = 1

    def __post_init__(self) -> None:
        SklearnStratified.__post_init__(self)
        self._blocks()  # which checks the values

    def _blocks(self) -> Blocks:
        return Blocks(size=self.size, buffer=self.buffer, train=1 - self.carve, val=self.carve, test=0)

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; raise SplitError as SklearnStratified does, and where one has no footprint."""
        drawn = SklearnStratified.assign(self, records, seed=seed, lists=lists)
        train = [i for i, name in enumerate(drawn.split) if name == "train"]
        validation = self._blocks().assign([records[i] for i in train], seed=seed, lists=lists)
        split, reason = list(drawn.split), list(drawn.reason)
        for i, name, why in zip(train, validation.split, validation.reason, strict=True):
            split[i], reason[i] = name, why
        return replace(drawn, split=split, reason=reason, notes={**drawn.notes, **validation.notes})
