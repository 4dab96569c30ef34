"""terratorch's own tasks on our samples: several labels of a patch, and masks."""

import sys
import tempfile
from pathlib import Path

import lightning
from terratorch.tasks import MultiLabelClassificationTask, SemanticSegmentationTask
from torch.utils.data import DataLoader

from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.torch import GeoSamples

out = Path(tempfile.mkdtemp())
quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
catalog.synthesise("spacenet6")(out / "raw", count=8, seed=0)
masks = build(
    BuildRequest(
        dataset=catalog.pipeline("spacenet6"), source=out / "raw", out=out, split="random:train=0.5,val=0.5,test=0"
    )
)


def trained(task: lightning.LightningModule, path: Path, **options: object) -> None:
    loaders = [
        DataLoader(GeoSamples(path, split=split, **options), batch_size=4, collate_fn=GeoSamples.collate)
        for split in ("train", "val")
    ]
    lightning.Trainer(max_epochs=1, default_root_dir=out, **quiet).fit(task, *loaders)


def arguments(channels: int, classes: int, **more: object) -> dict[str, object]:
    backbone = {"backbone": "timm_resnet18", "backbone_pretrained": False, "backbone_in_chans": channels}
    return {"model_factory": "EncoderDecoderFactory", "model_args": {**backbone, "num_classes": classes, **more}}


labels = arguments(2, 19, decoder="IdentityDecoder")
trained(MultiLabelClassificationTask(**labels, loss="bce", plot_on_val=False), Path(sys.argv[1]))
pixels = arguments(4, 2, decoder="FCNDecoder", necks=[{"name": "SelectIndices", "indices": [-1]}])
trained(SemanticSegmentationTask(**pixels, loss="ce", ignore_index=255, plot_on_val=False), masks.path, crop=128)
