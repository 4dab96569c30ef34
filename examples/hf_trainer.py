"""Training with the Trainer of transformers: our loaders as they are. Needs `pip install transformers accelerate`.

The Trainer would make loaders of datasets and share their batches out among ranks. Ours are loaders and share them out
already, so the two methods that make loaders return them as they are. `python examples/hf_trainer.py BUILD RUN`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

import sar_data
from sar_data.torch import loader


class Named:
    """Batches by the names that models of transformers take."""

    def __init__(self, build: Path, **options: Any) -> None:
        self._loader = loader(build, **options)
        self.batch_size = options["batch_size"]

    def __len__(self) -> int:
        return len(self._loader)

    def set_epoch(self, epoch: int) -> None:
        self._loader.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._loader:
            yield {"pixel_values": batch["image"], "labels": batch["target"]}


class Model(torch.nn.Module):
    """A linear model of each image's mean and deviation."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.head = torch.nn.Linear(2 * channels, classes)

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.head(torch.cat([pixel_values.mean((2, 3)), pixel_values.std((2, 3))], dim=1))
        return {"loss": torch.nn.functional.binary_cross_entropy_with_logits(scores, labels), "logits": scores}


class BuildTrainer(Trainer):  # type: ignore[misc]  # of a package that is not typed here
    """A Trainer whose datasets are loaders already."""

    def get_train_dataloader(self) -> Any:
        return self.train_dataset

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        return self.eval_dataset


def main(build: Path, out: Path, epochs: int = 4) -> list[dict[str, float]]:
    """Train, and return the log: losses of the steps, and those of evaluation after each epoch."""
    manifest = sar_data.open(build).manifest
    torch.manual_seed(0)
    trainer = BuildTrainer(
        model=Model(len(manifest.bands), len(manifest.tasks[0].classes)),
        args=TrainingArguments(
            output_dir=str(out),
            num_train_epochs=epochs,
            learning_rate=0.05,
            logging_steps=1,
            eval_strategy="epoch",
            save_strategy="no",
            report_to=[],
        ),
        train_dataset=Named(build, split="train", batch_size=16, seed=0),
        eval_dataset=Named(build, split="val", batch_size=16),
    )
    trainer.train()
    log: list[dict[str, float]] = trainer.state.log_history
    return log


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
