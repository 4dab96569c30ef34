"""Loaders for anyone's training job: batches of tensors, on the device that you name.

    from sar_data.torch import loader
    train = loader("builds/…/zarr-3fa91c07", split="train", batch_size=256, bands=("VV", "VH"), seed=0)
    for batch in train:
        batch["image"], batch["target"], batch["key"]

`Samples` is a map-style dataset for a DataLoader of one's own, `GeoSamples` one for the trainers of torchgeo and
terratorch, `tars` a pipeline of the webdataset library.
"""

from sar_data.errors import missing_extra

try:
    import torch  # noqa: F401 (so that its absence is told here)
except ImportError:
    raise missing_extra("torch", "train") from None

from sar_data.torch.loading import Loader, loader
from sar_data.torch.samples import GeoSamples, Samples
from sar_data.torch.tars import tars

__all__ = ["GeoSamples", "Loader", "Samples", "loader", "tars"]
