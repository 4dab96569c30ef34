"""The README of a build: splits, bands, classes, licence, and a reader of a few lines that needs none of our code."""

from __future__ import annotations

from collections.abc import Iterator

from sar_data.exporters.card_tables import title_and_tables
from sar_data.exporters.source import Source
from sar_data.text import markdown

_OPEN = ["import json, pathlib, numpy as np, pyarrow.parquet as pq"]
_ROW = [
    'manifest = json.loads(pathlib.Path("manifest.json").read_bytes())',
    'row = pq.read_table("index.parquet").slice(0, 1).to_pylist()[0]  # a packed row: row["split"] is not "unused"',
    'size = manifest["shape"] or [row["height"], row["width"]]',
    'shape = [manifest["frames"]] * (manifest["frames"] > 1) + [len(manifest["bands"]), *size]',
]
_RAW = [
    'image = np.fromfile(path, manifest["storage"]["dtype"], int(np.prod(shape)), offset=row["offset"]).reshape(shape)'
]
READERS = {
    "webdataset": [*_OPEN, *_ROW, "path = f\"{row['split']}/{row['shard']:06d}.tar\"", *_RAW],
    "zarr": [*_OPEN, *_ROW, "path = f\"{row['split']}/image/c/{row['shard']}\" + \"/0\" * len(shape)", *_RAW],
    "zarr+zstd": [
        "import json, pathlib, pyarrow.parquet as pq, zarr",
        *_ROW[:2],
        'slots = manifest["splits"][row["split"]]["shard_length"]',
        'image = zarr.open_group(".")[row["split"]]["image"][row["shard"] * slots + row["position"]]',
    ],
    "lmdb": [
        "import json, pathlib, lmdb, numpy as np, pyarrow.parquet as pq, safetensors.numpy",
        *_ROW[:2],
        'value = lmdb.open(row["split"], readonly=True, lock=False).begin().get(row["key"].encode())',
        "planes = safetensors.numpy.load(value)",
        'image = np.stack([planes[band["name"]] for band in manifest["bands"]], axis=-3)',
    ],
}
"""Container → lines of Python that read the first image of a build; its folder is the current one."""


def readme(source: Source) -> str:
    """Return the page."""
    return "\n".join(_lines(source)) + "\n"


def _lines(source: Source) -> Iterator[str]:
    manifest = source.manifest
    yield from title_and_tables(source, {})
    for task in manifest.tasks:
        yield from ("", f"Task {markdown(task.name)} ({task.kind}): {markdown('; '.join(task.classes))}.")
    yield from (
        "",
        f"Licence of the data: {markdown(manifest.licence)}",
        "",
        f"Citation: {markdown(manifest.citation)}",
        "",
    )
    container = f"{manifest.format}+{manifest.compression}" if manifest.compression else manifest.format
    yield from ("The first image, in the folder of the build and without sar-data:", "", "```python")
    yield from (*READERS[container], "```", "", "`sha256sum -c SHA256SUMS` checks the files. FORMAT.md of sar-data")
    yield f"specifies them. The content digest is `{manifest.content_digest}`."
