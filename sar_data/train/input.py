"""What a model takes and says, as its run records it: all that a build needs not be there for afterwards."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from sar_data.sealed.names import Frames, Label
from sar_data.spec import TaskKind
from sar_data.stream.normalize import Normalizer, of_channels

Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]


class Input(pydantic.BaseModel):
    """The images that a model was trained on, and what it says of them.

    units      channel → unit of the values before they are normalized, in the model's order; "" where nobody knows it,
               as of a build that is normalized already
    figures    channel → what the run subtracts and divides by; None where its normalization needs none
    resized    whether images are resized to the run's image size, or seen as they are
    kind       of the task: multiclass, multilabel, segmentation, change or detection; or images alone
    classes    in the order of the model's answers; none of images alone
    dates      images of one place in a sample, in their order
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    units: dict[str, str]
    figures: dict[str, tuple[Number, Number]] | None
    resized: bool
    kind: Literal[TaskKind, "images"]
    classes: tuple[Label, ...]
    dates: Frames = 1

    @pydantic.model_validator(mode="after")
    def _each_once(self) -> Self:
        """Refuse a task without classes, and two of one name: what is said of them would be counted as of one."""
        if (self.kind == "images") != (not self.classes):
            raise ValueError("classes: expected some of a task, and none of images alone")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: expected each once")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of an image, in the model's order: bands, or derived of two."""
        return tuple(self.units)

    def normalizer(self, how: str) -> Normalizer:
        """Return how images of these channels, in physical units, are normalized; masked pixels are NaN."""
        return of_channels(self.units, how, figures=self.figures)
