"""Training jobs on sealed builds: probe, finetune, segment and detect, on one process or many.

    sar-data train finetune BUILD --model resnet18 --out RUN
    torchrun --nproc-per-node 2 -m sar_data.train finetune BUILD --model resnet18 --out RUN

The only seam with the rest of sar-data is the build on disk, read through `sar_data.torch`.
"""

from sar_data.errors import missing_extra

try:
    import timm  # noqa: F401 (so that its absence is told here)
    import torch  # noqa: F401
except ImportError as error:
    raise missing_extra(error.name or "torch", "train") from None
