"""Training jobs on sealed builds, on one process or many: probe, finetune, segment, change and detect; their results.

    sar-data train finetune BUILD --model resnet18 --out RUN
    torchrun --nproc-per-node 2 -m sar_data train finetune BUILD --model resnet18 --out RUN

    sar_data.train.train("finetune", "BUILD", out="RUN", settings={"model": "resnet18"})
    model = sar_data.train.load("RUN")

The only seam with the rest of sar-data is the build on disk, read through `sar_data.torch`. Importing the package
loads nothing heavy: a name is imported when it is first used.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sar_data.errors import missing_extra

if TYPE_CHECKING:
    from sar_data.train.inference.model import load
    from sar_data.train.reported import report
    from sar_data.train.verbs import benchmark, compare, embed, evaluate, explain, export, predict, train

__all__ = ["benchmark", "compare", "embed", "evaluate", "explain", "export", "load", "predict", "report", "train"]

_HOMES = {"load": "sar_data.train.inference.model", "report": "sar_data.train.reported"}

for _package in ("torch", "timm"):  # told here; imported where they are used, for help must not wait for them
    if find_spec(_package) is None:
        raise missing_extra(_package, "train")

if not TYPE_CHECKING:  # which would take every name for one that exists

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module 'sar_data.train' has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(_HOMES.get(name, "sar_data.train.verbs")), name)
        return value
