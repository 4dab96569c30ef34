"""A build of files that were changed is a build that streams, or an error that explains itself; never anything else."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.path_label import PIPELINE
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import SarDataError
from sar_data.stream.dataset import Stream
from tests.fuzz.mutants import mutated
from tests.raster.test_tiff import by_gdal

FEW, MANY = 3, 400
COUNT, SIDE = 4, 12
KINDS = ("float64", "int32", "uint8", "complex64")


def chips(root: Path, dtype: str) -> Path:
    """Write chips of one type that declare no data, and the list of them."""
    root.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for i in range(COUNT):
        image: Any = noise.normal(60, 9, (1, SIDE, SIDE)).astype(dtype)
        image[0, :2] = 0
        (root / f"s{i}.tif").write_bytes(by_gdal(image, **({} if dtype[0] == "c" else {"nodata": 0})))
    (root / "train.txt").write_text("".join(f"s{i} {i % 2}\n" for i in range(COUNT)))
    return root


def tried(root: Path, dtype: str, count: int) -> Counter[str]:
    source = chips(root / "raw", dtype)
    paths = sorted(source.iterdir())
    whole = {path: path.read_bytes() for path in paths}
    found: Counter[str] = Counter()
    for number in range(count):
        draw = random.Random(f"{dtype} {number}")
        path = draw.choice(paths)
        path.write_bytes(mutated(whole[path], draw))
        try:
            how: Any = "iq" if dtype[0] == "c" else None
            made = build(
                BuildRequest(dataset=PIPELINE, source=source, out=root / str(number), complex_as=how, suspect_limit=1.0)
            )
            for batch in Stream(made.path, split="train", batch_size=2, normalize=None):
                assert np.isfinite(batch["image"]).all()
            found["built"] += 1
        except SarDataError as error:
            found[type(error).__name__] += 1
        except BaseException as error:
            error.add_note(f"mutant {number} of {dtype}, in {path.name}")
            raise
        finally:
            path.write_bytes(whole[path])
    return found


@pytest.mark.parametrize("dtype", KINDS)
def test_a_build_of_a_changed_file_streams_or_explains_itself(tmp_path: Path, dtype: str) -> None:
    assert sum(tried(tmp_path, dtype, FEW).values()) == FEW


@pytest.mark.fuzz
@pytest.mark.parametrize("dtype", KINDS)
def test_hundreds_of_builds_of_changed_files_stream_or_explain_themselves(tmp_path: Path, dtype: str) -> None:
    found = tried(tmp_path, dtype, MANY)
    assert len(found) > 1
