"""A request checks itself before anything starts, and says what is to change by its name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from sar_data import catalog
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.errors import UsageError
from sar_data.formats import FORMATS
from tests.mini import invented

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"dtype": "int16", "normalize": "zscore"}, "`dtype=int16` stores dB and `normalize=zscore` leaves no dB"),
    ({"crop": 8, "pad": 8}, "`crop=8` and `pad=8`: both make one size"),
    ({"resize": 0}, "`resize=0`: expected at least 1 pixel"),
    ({"normalize": "z-score"}, "unknown normalize 'z-score'. Did you mean 'zscore'?"),
    ({"dtype": "float15"}, "unknown dtype 'float15'. Did you mean 'float16'?"),
    ({"format": "lmbd"}, "unknown format 'lmbd'. Did you mean 'lmdb'?"),
    ({"format": "lmdb", "compression": "zstd"}, "`compression=zstd`: expected none with `format=lmdb`"),
]
WRONG_BUILDS: list[tuple[dict[str, Any], str]] = [
    *WRONG,
    ({"format": ["zarr", "lmbd"]}, "unknown format 'lmbd'. Did you mean 'lmdb'?"),
    ({"format": "zarr,lmbd"}, "unknown format 'lmbd'. Did you mean 'lmdb'?"),
    ({"format": ["zarr", "zarr"]}, "`format=zarr,zarr`: expected each container once, found zarr 2 times"),
    (
        {"drop_parent": True},
        "`drop_parent=True`: expected `speckle=…`, `unit=…`, `crop=…`, `pad=…`, `resize=…`, `normalize=…` or `dtype=…`",
    ),
    ({"unit": "power", "normalize": "ssl4eo"}, "`normalize=ssl4eo`: expected VV and VH in dB, found VV in power"),
    ({"crop": 500}, "`crop=500`: expected images of at least that size, found at most"),
    ({"pad": 3}, "`pad=3`: expected images of at most that size, found"),
    ({"bad_records": "skip"}, "unknown bad records 'skip'"),
    ({"bad_objects": "keep"}, "unknown bad objects 'keep'"),
    ({"complete": True, "limit": 3}, "`complete=True`: expected no `limit=…` with it, found `limit=3`"),
    ({"complex_as": "polar"}, "unknown complex as 'polar'"),
    ({"suspect_limit": 1.5}, "`suspect_limit=1.5`: expected a share from 0 to 1"),
    ({"mirror": "https://x"}, "`mirror=https://x`: expected `fetch=True` with it"),
    ({"limit": 0}, "`limit=0`: expected at least 1 record"),
    ({"shard_length": 0}, "`shard_length=0`: expected at least 1 sample"),
    ({"split": "randon"}, "unknown split 'randon'. Did you mean 'random'?"),
    ({"variant": "scenes"}, "unknown variant of invented 'scenes'"),
]


@pytest.mark.parametrize(("choices", "message"), WRONG_BUILDS, ids=lambda value: str(value)[:40])
def test_a_build_that_contradicts_itself_is_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        BuildRequest(dataset=invented.pipeline(), source=Path("in"), out=Path("out"), **choices)
    assert message in str(caught.value)


@pytest.mark.parametrize(("choices", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_a_conversion_that_contradicts_itself_is_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ConvertRequest(parent=Path("build"), **choices)
    assert message in str(caught.value)


def test_a_line_in_the_registry_makes_a_format_that_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> tuple[str | None, ...]:
        ConvertRequest(parent=Path("build"), format="tiles")
        return BuildRequest(dataset=invented.pipeline(), source=Path("in"), out=Path("out"), format="tiles").formats

    with pytest.raises(UsageError, match=r"unknown format 'tiles'.*lmdb, webdataset, zarr"):
        asked()
    monkeypatch.setitem(FORMATS, "tiles", "sar_data.formats.tiles")
    assert asked() == ("tiles",)


@pytest.mark.parametrize(
    ("shape", "asked", "lossless", "baked"),
    [
        ((6, 5), {}, None, None),
        ((6, 5), {"format": "lmdb", "crop": 4}, "lmdb", "lmdb"),
        (None, {"format": "zarr", "crop": 4}, None, "zarr"),
        (None, {"crop": 4}, None, "zarr"),
        (None, {"format": "lmdb", "pad": 12}, "lmdb", "lmdb"),
        (None, {"normalize": "zscore"}, None, None),
    ],
)
def test_sizes_that_differ_get_one_on_the_way_into_what_needs_it(
    shape: tuple[int, int] | None, asked: dict[str, Any], lossless: str | None, baked: str | None
) -> None:
    request = BuildRequest(dataset=invented.pipeline(shape=shape), source=Path("in"), out=Path("out"), **asked)
    assert (request.lossless.format, request.lossless.baked) == (lossless, {})
    assert request.conversion(Path("out/build")).format == baked


def test_a_licence_that_has_to_be_agreed_to_is_named_before_anything_is_fetched() -> None:
    pipeline = catalog.pipeline("eurosat-sar")
    closed = dataclasses.replace(pipeline, spec=dataclasses.replace(pipeline.spec, licence="CC-BY-NC-4.0"))
    asked: dict[str, Any] = {"dataset": closed, "source": Path("in"), "out": Path("out"), "fetch": True}
    with pytest.raises(UsageError, match=r"CC-BY-NC-4\.0.* `accept_licence=True`"):
        BuildRequest(**asked)
    assert BuildRequest(**asked, accept_licence=True).fetch
