"""The loaders that `tests.bench.peers` compares, each behind the same three verbs; run in an interpreter of its own.

    python tests/bench/contenders.py NAME FOLDER WHAT ROUNDS    → one JSON line on stdout

WHAT is one of the measurements below, each in a fresh process, so that none inherits another's caches, maps or threads.
It imports numpy and the one library it measures, nothing of sar-data unless that is the one, so that any interpreter
can run it. FOLDER holds facts.json and images.f32, the train images [sample, band, y, x] in float32, and what each
contender has made of them. Every contender yields normalized float32 batches [256, band, y, x], shuffled, the last one
dropped; where it may, it normalizes a whole batch in place in its workers, which is kinder than a transform a sample.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import pickle
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

BATCH = 256
WORKERS = 2
SEED = 0


class Facts:
    """The samples: where they lie, how many, of which shape, and the figures that normalize them."""

    def __init__(self, folder: Path) -> None:
        facts = json.loads((folder / "facts.json").read_text())
        self.folder, self.builds = folder, facts["builds"]
        self.count, self.shape = facts["count"], tuple(facts["shape"])
        self.mean = np.array(facts["mean"], np.float32).reshape(-1, 1, 1)
        self.scale = (1 / np.array(facts["std"])).astype(np.float32).reshape(-1, 1, 1)

    @cached_property
    def images(self) -> np.memmap[Any, np.dtype[np.float32]]:
        return np.memmap(self.folder / "images.f32", np.float32, "r", shape=(self.count, *self.shape))

    def normalize(self, images: Any) -> Any:
        images -= self.mean
        images *= self.scale
        return images

    def stacked(self, images: list[Any]) -> Any:
        """Collate: one normalized tensor from a list of arrays or tensors."""
        import torch

        batch = np.empty((len(images), *self.shape), np.float32)
        for row, image in zip(batch, images, strict=True):
            row[...] = image
        return torch.from_numpy(self.normalize(batch))


class Contender:
    """What is measured: `make` writes the samples the library's own way, `open` yields batches."""

    needs: ClassVar[tuple[str, ...]] = ("torch",)
    resumes: ClassVar[bool] = False

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def make(self, folder: Path) -> None:
        """Write the samples below `folder`, if they are not there in a build of ours."""

    def files(self, folder: Path) -> Path:
        return folder

    def open(self, folder: Path) -> Any:
        """Return an iterable of batches, again and again."""
        raise NotImplementedError

    def batch(self, item: Any) -> Any:
        """Return the images of what was yielded."""
        return item


class Indexed:
    """A map-style dataset of `read(i)`."""

    def __init__(self, count: int, opened: Callable[[], Callable[[int], Any]]) -> None:
        self._count, self._opened = count, opened
        self._read: Callable[[int], Any] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Any:
        if self._read is None:
            self._read = self._opened()  # in the worker: an LMDB environment does not survive a fork
        return self._read(i)


def loaded(facts: Facts, dataset: Any, **chosen: Any) -> Any:
    """Return torch's own DataLoader with two persistent workers."""
    from torch.utils.data import DataLoader

    chosen = {"shuffle": True, "batch_size": BATCH, "drop_last": True, "collate_fn": facts.stacked, **chosen}
    return DataLoader(dataset, num_workers=WORKERS, persistent_workers=True, **chosen)


class Memmap(Contender):
    """A memory-mapped array behind a torch Dataset, a sample at a time."""

    def files(self, folder: Path) -> Path:
        return self.facts.folder / "images.f32"

    def open(self, folder: Path) -> Any:
        return loaded(self.facts, Indexed(self.facts.count, lambda: self.facts.images.__getitem__))


class ConfigILM(Contender):
    """ConfigILM's access: one LMDB get and one safetensors load a sample, on the very values our LMDB builds have."""

    needs = ("torch", "lmdb", "safetensors")

    def files(self, folder: Path) -> Path:
        return Path(self.facts.builds["lmdb"]) / "train"

    def _reader(self) -> Callable[[int], Any]:
        import lmdb
        from safetensors.numpy import load

        environment = lmdb.open(str(self.files(Path())), readonly=True, lock=False, meminit=False, readahead=True)
        transaction = environment.begin()
        keys = list(transaction.cursor().iternext(values=False))

        def read(i: int) -> Any:
            value = load(transaction.get(keys[i]))
            return np.stack([value["VV"], value["VH"]])

        return read

    def open(self, folder: Path) -> Any:
        return loaded(self.facts, Indexed(self.facts.count, self._reader))


class Diary(Contender):
    """The research diary's way: a pickled (bytes, shape, label) a key."""

    needs = ("torch", "lmdb")

    def make(self, folder: Path) -> None:
        import lmdb

        environment = lmdb.open(str(folder), map_size=1 << 40)
        with environment.begin(write=True) as transaction:
            for i, image in enumerate(self.facts.images):
                value = pickle.dumps((image.tobytes(), image.shape, np.zeros(19).tobytes()))
                transaction.put(b"%08d" % i, value)
        environment.close()

    def _reader(self, folder: Path) -> Callable[[int], Any]:
        import lmdb

        transaction = lmdb.open(str(folder), readonly=True, lock=False, meminit=False).begin()

        def read(i: int) -> Any:
            data, shape, _ = pickle.loads(transaction.get(b"%08d" % i))  # noqa: S301 (what it measures, on its own file)
            return np.frombuffer(data, np.float32).reshape(shape)

        return read

    def open(self, folder: Path) -> Any:
        return loaded(self.facts, Indexed(self.facts.count, partial(self._reader, folder)))


class WebDataset(Contender):
    """webdataset on our own tars: shards shuffled, a buffer of 1,000 samples, batched in the workers."""

    needs = ("torch", "webdataset")

    def files(self, folder: Path) -> Path:
        return Path(self.facts.builds["webdataset"]) / "train"

    def open(self, folder: Path) -> Any:
        import webdataset

        tars = sorted(str(path) for path in self.files(folder).glob("*.tar"))
        pipeline = (
            webdataset.WebDataset(tars, shardshuffle=len(tars), seed=SEED, empty_check=False)
            .shuffle(1000, seed=SEED)
            .map(_npy)
            .batched(BATCH, collation_fn=self.facts.stacked, partial=False)
        )
        return webdataset.WebLoader(pipeline, batch_size=None, num_workers=WORKERS, persistent_workers=True)


def _npy(sample: dict[str, Any]) -> Any:
    return np.load(io.BytesIO(sample["image.npy"]), allow_pickle=False)


class TensorStore(Contender):
    """tensorstore on a Zarr of its own, a chunk a sample in shards of 256: one read a batch, the next one ahead."""

    needs = ("tensorstore",)

    def make(self, folder: Path) -> None:
        images = self.facts.images
        inner = {
            "chunk_shape": [1, *self.facts.shape],
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        }
        metadata = {
            "shape": list(images.shape),
            "data_type": "float32",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [BATCH, *self.facts.shape]}},
            "codecs": [{"name": "sharding_indexed", "configuration": inner}],
        }
        array = self._array(folder, metadata=metadata, create=True)
        for low in range(0, self.facts.count, BATCH):
            high = min(low + BATCH, self.facts.count)
            array[low:high] = images[low:high]

    def _array(self, folder: Path, **options: Any) -> Any:
        import tensorstore

        limits = {"data_copy_concurrency": {"limit": WORKERS}, "file_io_concurrency": {"limit": 32}}
        store = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}, "context": limits}
        return tensorstore.open(
            {**store, **({"metadata": options.pop("metadata")} if options else {})}, **options
        ).result()

    def open(self, folder: Path) -> Any:
        return _TensorStoreBatches(self.facts, self._array(folder))


class _TensorStoreBatches:
    def __init__(self, facts: Facts, array: Any) -> None:
        self._facts, self._array, self._epoch = facts, array, 0

    def __iter__(self) -> Iterator[Any]:
        order = np.random.default_rng([SEED, self._epoch]).permutation(self._facts.count)
        self._epoch += 1
        parts = [np.sort(order[at : at + BATCH]) for at in range(0, len(order) - BATCH + 1, BATCH)]
        coming = self._array[parts[0]].read()
        for following in [*parts[1:], None]:
            images = np.array(coming.result())
            if following is not None:
                coming = self._array[following].read()
            yield self._facts.normalize(images)


class LitData(Contender):
    """litdata: optimised chunks of 64 MB, its own loader with two workers.

    One item decoded at a time: its own choice for these samples ("auto", 256) takes six times as long.
    """

    needs = ("torch", "litdata")
    resumes = True

    def make(self, folder: Path) -> None:
        from litdata import optimize

        optimize(
            fn=partial(_litdata_sample, self.facts.images),
            inputs=list(range(self.facts.count)),
            output_dir=str(folder),
            chunk_bytes="64MB",
            num_workers=1,
            verbose=False,
        )

    def open(self, folder: Path) -> Any:
        from litdata import StreamingDataLoader, StreamingDataset

        dataset = StreamingDataset(str(folder), shuffle=True, drop_last=True, seed=SEED, batch_decode=1)
        collate = partial(_named, self.facts)
        return StreamingDataLoader(
            dataset, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True, drop_last=True, collate_fn=collate
        )


def _litdata_sample(images: Any, i: int) -> dict[str, Any]:
    return {"image": np.array(images[i])}


def _named(facts: Facts, samples: list[dict[str, Any]]) -> Any:
    return facts.stacked([sample["image"] for sample in samples])


class Mosaic(Contender):
    """MosaicML streaming: MDS shards of a fixed array, its own loader with two workers, shuffle py1e (the default)."""

    needs = ("torch", "streaming")
    resumes = True

    def make(self, folder: Path) -> None:
        from streaming import MDSWriter

        encoding = "ndarray:float32:" + ",".join(map(str, self.facts.shape))
        with MDSWriter(out=str(folder), columns={"image": encoding}, size_limit="64mb", exist_ok=True) as writer:
            for image in self.facts.images:
                writer.write({"image": np.array(image)})

    def open(self, folder: Path) -> Any:
        from streaming import StreamingDataLoader, StreamingDataset
        from streaming.base.util import clean_stale_shared_memory

        clean_stale_shared_memory()
        dataset = StreamingDataset(local=str(folder), shuffle=True, shuffle_seed=SEED, batch_size=BATCH)
        return StreamingDataLoader(
            dataset,
            batch_size=BATCH,
            num_workers=WORKERS,
            drop_last=True,
            persistent_workers=True,
            collate_fn=partial(_named, self.facts),
        )


class Ours(Contender):
    """sar-data's loader on one of its builds: two threads."""

    needs = ("torch", "sar_data.torch")
    resumes = True
    format: ClassVar[str]

    def files(self, folder: Path) -> Path:
        return Path(self.facts.builds[self.format]) / "train"

    def open(self, folder: Path) -> Any:
        from sar_data.torch import loader

        build = self.facts.builds[self.format]
        return loader(build, split="train", batch_size=BATCH, bands=("VV", "VH"), seed=SEED, threads=WORKERS)

    def batch(self, item: Any) -> Any:
        return item["image"]


class OursZarr(Ours):
    format = "zarr"


class OursWebDataset(Ours):
    format = "webdataset"


class OursLmdb(Ours):
    format = "lmdb"


CONTENDERS: dict[str, type[Contender]] = {
    "sar-data, Zarr": OursZarr,
    "sar-data, WebDataset": OursWebDataset,
    "sar-data, LMDB": OursLmdb,
    "tensorstore": TensorStore,
    "litdata": LitData,
    "MosaicML streaming": Mosaic,
    "webdataset": WebDataset,
    "LMDB safetensors (ConfigILM)": ConfigILM,
    "LMDB pickle (the diary)": Diary,
    "memory map, torch Dataset": Memmap,
}


def reference(facts: Facts, epoch: int) -> float:
    """Return samples a second of the reference: gather 256 random samples from the map, normalize, reuse the buffer."""
    images, batch = facts.images, np.empty((BATCH, *facts.shape), np.float32)
    order = np.random.default_rng([SEED, epoch]).permutation(facts.count)
    start = time.perf_counter()
    for at in range(0, facts.count - BATCH + 1, BATCH):
        np.take(images, order[at : at + BATCH], axis=0, out=batch, mode="clip")
        facts.normalize(batch)
    return facts.count // BATCH * BATCH / (time.perf_counter() - start)


def drained(contender: Contender, batches: Iterable[Any]) -> float:
    """Return samples a second of a whole epoch, from the call of iter to its end."""
    start, count = time.perf_counter(), 0
    for item in batches:
        count += len(contender.batch(item))
    return count / (time.perf_counter() - start)


def rate(contender: Contender, data: Path, rounds: int) -> dict[str, Any]:
    """Time warm epochs, each beside one of the reference."""
    rates, ratios = [], []
    batches = contender.open(data)
    drained(contender, batches)  # warm, and the reference's pages mapped, before anything counts
    reference(contender.facts, 0)
    for epoch in range(rounds):
        beside = reference(contender.facts, epoch)
        rates.append(drained(contender, batches))
        ratios.append(rates[-1] / beside)
    return {"rate": statistics.median(rates), "ratio": statistics.median(ratios)}


def first(contender: Contender, data: Path, rounds: int) -> dict[str, Any]:
    """Time the way from nothing but imports to the first batch."""
    start = time.perf_counter()
    batches = iter(contender.open(data))  # kept: what is read ahead is thrown away after the clock is read
    next(batches)
    return {"first": time.perf_counter() - start}


def stop(contender: Contender, data: Path, rounds: int) -> dict[str, Any]:
    """Stop in the middle of an epoch, and leave the state and what the next batch is."""
    if not contender.resumes:
        return {}
    loader = contender.open(data)
    batches = iter(loader)
    for _ in range(contender.facts.count // BATCH // 2):
        next(batches)
    state = loader.state_dict()
    (data.parent / "state").write_bytes(pickle.dumps((state, fingerprint(contender.batch(next(batches))))))
    return {}


def resume(contender: Contender, data: Path, rounds: int) -> dict[str, Any]:
    """Time the way from a state to the next batch, and say whether it is the one that was due."""
    if not contender.resumes:
        return {}
    state, due = pickle.loads((data.parent / "state").read_bytes())  # noqa: S301 (written by `stop`)
    start = time.perf_counter()
    loader = contender.open(data)
    loader.load_state_dict(state)
    batches = iter(loader)
    images = contender.batch(next(batches))
    return {"resume": time.perf_counter() - start, "exact": fingerprint(images) == due}


def fingerprint(images: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def cold(contender: Contender, data: Path, rounds: int) -> dict[str, Any]:
    """Time an epoch whose files are not in the page cache; maps would hold them there, so nothing else comes before."""
    path = contender.files(data)
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
    return {"cold": drained(contender, contender.open(data))}


def made(contender: Contender, data: Path, rounds: int) -> dict[str, Any]:
    """Write the samples the contender's own way, once; say what is missing where it cannot run."""
    try:
        for package in contender.needs:
            _imported(package)
    except ImportError as error:
        return {"missing": f"not installed ({error.name or error})"}
    if not (data.parent / "made").exists():
        data.parent.mkdir(exist_ok=True)
        contender.make(data)
        (data.parent / "made").touch()
    return {}


MEASUREMENTS: dict[str, Callable[[Contender, Path, int], dict[str, Any]]] = {
    "made": made,
    "rate": rate,
    "first": first,
    "stop": stop,
    "resume": resume,
    "cold": cold,
}


def _imported(package: str) -> None:
    if package == "streaming":
        _without_torchvision_operators()
    importlib.import_module(package)


def _without_torchvision_operators() -> None:
    """Let MosaicML streaming import torchvision, of which nothing is used here, beside a torch it was not built for."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def main(name: str, folder: str, what: str, rounds: str) -> None:
    contender = CONTENDERS[name](Facts(Path(folder)))
    data = Path(folder, "".join(c if c.isalnum() else "-" for c in name), "data")
    if what != "made":
        for package in contender.needs:
            _imported(package)
    print("\n" + json.dumps(MEASUREMENTS[what](contender, data, int(rounds))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
