"""Our loaders in Lightning, in transformers, in torchdata and in torchgeo's trainers, on one build of patches."""

import json
import sys
import tempfile
from itertools import chain
from pathlib import Path

import lightning
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import Stateful, StatefulDataLoader
from torchgeo.trainers import ClassificationTask, ObjectDetectionTask, SemanticSegmentationTask

from examples import hf_trainer, lightning_module
from sar_data import catalog
from sar_data.builder.itinerary import build as make
from sar_data.builder.request import BuildRequest
from sar_data.torch import GeoSamples, Samples, loader

build, facts = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
train = {fact["key"] for fact in facts if fact["split"] == "train"}
out = Path(tempfile.mkdtemp())
quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def in_lightning() -> None:
    """Each epoch has each sample once; a run that goes on has the batches that were due."""
    whole = lightning_module.main(build, out, max_epochs=2, **quiet)
    steps = len(whole.keys) // 2
    for epoch in (whole.keys[:steps], whole.keys[steps:]):
        keys = list(chain.from_iterable(epoch))
        assert len(set(keys)) == len(keys) == 16 * steps
        assert set(keys) <= train
    for stop in (steps, steps + 1):  # at the end of an epoch, and in the middle of one
        kept = lightning.pytorch.callbacks.ModelCheckpoint(out / str(stop), every_n_train_steps=stop)
        lightning_module.main(build, out, max_steps=stop, callbacks=[kept], **quiet)
        (checkpoint,) = (out / str(stop)).iterdir()
        rest = lightning_module.main(build, out, checkpoint, max_epochs=2, **quiet)
        assert rest.keys == whole.keys[stop:]
        assert rest.losses == whole.losses[stop:]


def in_transformers() -> None:
    """The loss falls, and evaluation is of every sample."""
    log = hf_trainer.main(build, out / "hf")
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0]
    assert len([entry for entry in log if "eval_loss" in entry]) == 4


def in_torchdata() -> None:
    """A loader has the protocol, and the library's own loader resumes on our samples."""
    assert isinstance(loader(build, batch_size=4), Stateful)
    options = {"batch_size": 4, "shuffle": True, "collate_fn": Samples.collate}
    torch.manual_seed(0)
    ours = StatefulDataLoader(Samples(build), **options)
    rest = iter(ours)
    next(rest)
    state = ours.state_dict()
    expected = [batch["key"] for batch in rest]
    resumed = StatefulDataLoader(Samples(build), **options)
    resumed.load_state_dict(state)
    assert [batch["key"] for batch in resumed] == expected


def in_torchgeo() -> None:
    """torchgeo's own task trains, validates and tests on our samples."""
    parts = {split: GeoSamples(build, split=split) for split in ("train", "val", "test")}
    loaders = {name: DataLoader(part, batch_size=8, collate_fn=GeoSamples.collate) for name, part in parts.items()}
    classes = len(parts["train"].classes)
    task = ClassificationTask(model="resnet18", in_channels=2, task="multilabel", num_labels=classes, loss="bce")
    trainer = lightning.Trainer(max_epochs=1, default_root_dir=out, **quiet)
    trainer.fit(task, loaders["train"], loaders["val"])
    (figures,) = trainer.test(task, loaders["test"], verbose=False)
    assert 0 < figures["test_loss"] < 10


def miniature(dataset: str, count: int) -> Path:
    catalog.synthesise(dataset)(out / dataset, count=count, seed=0)
    request = BuildRequest(
        dataset=catalog.pipeline(dataset), source=out / dataset, out=out, split="random:train=0.5,val=0.5,test=0"
    )
    return make(request).path


def in_torchgeo_with_masks_and_boxes() -> None:
    """Its tasks of masks and of boxes train and validate."""
    masks, ships = miniature("spacenet6", 8), miniature("ssdd", 12)
    segment = SemanticSegmentationTask(
        model="unet", backbone="resnet18", in_channels=4, num_classes=2, ignore_index=255
    )
    detect = ObjectDetectionTask(model="faster-rcnn", backbone="resnet18", in_channels=1, num_classes=2)
    for task, path, options in ((segment, masks, {"crop": 64}), (detect, ships, {"crop": 128})):
        loaders = [
            DataLoader(GeoSamples(path, split=split, **options), batch_size=2, collate_fn=GeoSamples.collate)
            for split in ("train", "val")
        ]
        lightning.Trainer(max_epochs=1, default_root_dir=out, **quiet).fit(task, *loaders)


for part in (in_torchdata, in_lightning, in_transformers, in_torchgeo, in_torchgeo_with_masks_and_boxes):
    print(part.__name__, flush=True)
    part()
