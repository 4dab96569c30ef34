"""Training with Lightning: our loaders in a data module, as they are. Needs `pip install lightning`.

Ranks are shared out by the loader, so that Lightning must not do it again. Its state goes into each checkpoint, which
Lightning loads where an epoch was interrupted; after a whole epoch it does not, so the epoch is set here.
`python examples/lightning_module.py BUILD RUN`
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning
import torch

import sar_data
from sar_data.torch import Loader, loader


class Data(lightning.LightningDataModule):  # type: ignore[misc]  # of a package that is not typed here
    """Loaders of the splits of one build."""

    def __init__(self, build: Path, batch_size: int = 16) -> None:
        super().__init__()
        self.build, self.batch_size = build, batch_size

    def train_dataloader(self) -> Loader:
        train = loader(self.build, split="train", batch_size=self.batch_size, seed=0)
        train.set_epoch(self.trainer.current_epoch)
        return train

    def val_dataloader(self) -> Loader:
        return loader(self.build, split="val", batch_size=self.batch_size)


class Model(lightning.LightningModule):  # type: ignore[misc]
    """A linear model of each image's mean and deviation."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.head = torch.nn.Linear(2 * channels, classes)
        self.losses: list[float] = []
        self.keys: list[list[str]] = []

    def _loss(self, batch: dict[str, Any]) -> torch.Tensor:
        image = batch["image"]
        scores = self.head(torch.cat([image.mean((2, 3)), image.std((2, 3))], dim=1))
        each = torch.nn.functional.binary_cross_entropy_with_logits(scores, batch["target"], reduction="none")
        weight = batch.get("weight", torch.ones(len(image), device=image.device))  # 0: a copy that fills a batch
        loss: torch.Tensor = (each.mean(dim=1) * weight).sum() / weight.sum()
        return loss

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        loss = self._loss(batch)
        self.losses.append(loss.item())
        self.keys.append(batch["key"])
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.log("val_loss", self._loss(batch), batch_size=len(batch["key"]), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.05)


def main(build: Path, out: Path, checkpoint: Path | None = None, **options: Any) -> Model:
    """Train, from a checkpoint or from the beginning, and return the model; `options` are those of the Trainer."""
    manifest = sar_data.open(build).manifest
    torch.manual_seed(0)
    model = Model(len(manifest.bands), len(manifest.tasks[0].classes))
    trainer = lightning.Trainer(default_root_dir=out, use_distributed_sampler=False, **options)
    trainer.fit(model, Data(build), ckpt_path=checkpoint)
    return model


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), max_epochs=4)
