"""A training loop of plain torch: the loader normalizes, shuffles and says where it is; the rest is yours.

`python examples/torch_loop.py RAW BUILDS`
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import sar_data
from sar_data.torch import loader


def main(source: Path, out: Path, epochs: int = 4) -> None:
    """Train a linear model of each image's mean and deviation, and test it."""
    build = sar_data.build("eurosat-sar", source=source, out=out, split="stratified", workers=1)
    torch.manual_seed(0)
    model = torch.nn.Linear(4, len(build.manifest.tasks[0].classes))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)

    def logits(image: torch.Tensor) -> torch.Tensor:
        """Return scores [B, classes] of images [B, band, y, x], which are normalized by the train split."""
        return model(torch.cat([image.mean((2, 3)), image.std((2, 3))], dim=1))  # type: ignore[no-any-return]

    train = loader(build.path, split="train", batch_size=16, bands=("VV", "VH"), seed=0)
    for epoch in range(epochs):
        for batch in train:  # another order in each epoch, the same order for the same seed
            loss = torch.nn.functional.cross_entropy(logits(batch["image"]), batch["target"])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        print(f"epoch {epoch}: loss {loss.item():.2f}; to go on from here: {sorted(train.state_dict())}")

    right = total = 0.0
    with torch.no_grad():
        for batch in loader(build.path, split="test", batch_size=16, bands=("VV", "VH")):
            hits = logits(batch["image"]).argmax(dim=1) == batch["target"]
            right += float((hits * batch["weight"]).sum())  # a copy that fills up the last batch has weight 0
            total += float(batch["weight"].sum())
    print(f"test: {right:.0f} of {total:.0f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
