"""Training jobs on sealed builds: probe, finetune, segment and detect, on one process or many.

    sar-data train finetune BUILD --model resnet18 --out RUN
    torchrun --nproc-per-node 2 -m sar_data train finetune BUILD --model resnet18 --out RUN

The only seam with the rest of sar-data is the build on disk, read through `sar_data.torch`.
"""

from importlib.util import find_spec

from sar_data.errors import missing_extra

for _package in ("torch", "timm"):  # told here; imported where they are used, for help must not wait for them
    if find_spec(_package) is None:
        raise missing_extra(_package, "train")
