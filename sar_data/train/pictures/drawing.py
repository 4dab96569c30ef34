"""What the pictures of a split have in common: folder, beginning of the title, and images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sar_data.train.pictures.images import Images


@dataclass(frozen=True)
class Drawing:
    """The pictures of a split: `subject` is dataset and model, `units` channel → unit of the images.

    `format` is png, pdf or svg.
    """

    folder: Path
    split: str
    subject: str
    units: Mapping[str, str]
    images: Images
    format: str = "png"

    def file(self, name: str) -> Path:
        """Return the path of a picture."""
        return self.folder / f"{name}-{self.split}.{self.format}"

    def title(self, text: str) -> str:
        """Return the title of a picture whose headline is `text`, which names the split."""
        return f"{self.subject} · {text}"
