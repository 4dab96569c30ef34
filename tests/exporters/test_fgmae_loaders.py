"""Readers that do what FG-MAE's two loaders of BigEarthNet do take our exports as their own.

Facts are those of `bigearthnet_dataset_{official,seco}_lmdb_s1_float32.py` at commit 66ac3c5: how the environment is
opened, its length, keys, tuples, dtypes, the clip at two quantiles, the scale to 8 bits and the order of the result.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import lmdb
import numpy as np
import numpy.typing as npt
import pytest

from sar_data.exporters import Target, export
from sar_data.exporters.source import Source, labels_of
from sar_data.sealed.opened import Build

torch = pytest.importorskip("torch")
Bytes = npt.NDArray[np.uint8]
MEANS, DEVIATIONS = {"VV": -12.59, "VH": -20.26}, {"VV": 5.26, "VH": 5.91}  # dB, of both files


def to_bytes(plane: npt.NDArray[np.float32], band: str) -> Bytes:
    """Return a plane as 0 to 255 from two deviations below the mean to two above, clipped at 1 and 99 % before."""
    low, high = np.quantile(plane, 0.01), np.quantile(plane, 0.99)
    start, width = MEANS[band] - 2 * DEVIATIONS[band], 4 * DEVIATIONS[band]
    return np.clip((np.clip(plane, low, high) - start) / width * 255.0, 0, 255).astype(np.uint8)


class Samples:
    """A dataset for `torch.utils.data.DataLoader`, of five parts a value with VV first or of three with VH first."""

    def __init__(self, environment: Path, parts: int) -> None:
        self._parts, self._order = parts, ("VV", "VH") if parts == 5 else ("VH", "VV")
        self._environment = lmdb.open(
            str(environment), max_readers=1, readonly=True, lock=False, readahead=False, meminit=False
        )
        with self._environment.begin(write=False) as transaction:
            self._length = transaction.stat()["entries"]

    def __len__(self) -> int:
        return int(self._length)

    def __getitem__(self, index: int) -> tuple[Bytes, npt.NDArray[np.float32]]:
        with self._environment.begin(write=False) as transaction:
            parts = pickle.loads(transaction.get(str(index).encode()))  # noqa: S301 -- of our own
        assert len(parts) == self._parts
        data, shape, target = parts[-3:]
        image = np.frombuffer(data, dtype=np.float32).reshape(shape)
        planes = {band: to_bytes(image[:, :, i], band).reshape(128, 128, 1) for i, band in enumerate(self._order)}
        return np.concatenate([planes["VV"], planes["VH"]], axis=2), np.frombuffer(target, dtype=np.float32)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # as the loaders have it
@pytest.mark.parametrize(
    ("target", "parts", "file"), [("fgmae-lmdb", 5, "{}_B12_B2.lmdb"), ("seco-lmdb", 3, "{}_B12.lmdb")]
)
def test_a_loader_of_fgmae_reads_every_sample(
    patches: Build, tmp_path: Path, target: Target, parts: int, file: str
) -> None:
    folder = export(target, patches, tmp_path / target).folder
    source = Source.of(patches)
    task, bands = source.manifest.tasks[0], source.layout.bands
    for split in source.splits:
        loader = torch.utils.data.DataLoader(Samples(folder / file.format(split), parts), batch_size=1)
        assert len(loader) == len(source.rows(split))
        for (image, hot), (row, stored, _) in zip(loader, source.samples(split), strict=True):
            expected = [to_bytes(stored[bands.index(band)], band) for band in ("VV", "VH")]
            assert (image[0].numpy() == np.stack(expected, axis=2)).all()
            assert hot.dtype == torch.float32
            assert np.flatnonzero(hot[0]).tolist() == labels_of(row, task)
