"""Every option of a training job, declared once: the command line, the presets and config.json come from here."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import pydantic

Names = tuple[str, ...]
MOST_SIDE = 1 << 15  # pixels
MOST_CHANNELS = 1 << 14
MOST_OVERLAP = 0.9  # a pixel is seen a hundred times


class Settings(pydantic.BaseModel):
    """What all jobs have in common. A field's description is its help; `None` means: as the build or the job has it.

    A job is a subclass and its line in JOBS; the first line of its docstring is its help. `takes` are the kinds of task
    that it takes, `needs` says so in a sentence; a job that is not `labelled` reads images alone, of any build. `maker`
    is the class of the job (sar_data/train/jobs.py) as MODULE:CLASS, which is imported when it is asked for, empty for
    a probe, which trains no network.
    """

    takes: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[str] = ""
    maker: ClassVar[str] = ""
    labelled: ClassVar[bool] = True

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = pydantic.Field("resnet18", description="Encoder: vit-s, resnet50, swin-t, … or any name of timm.")
    weights: str | None = pydantic.Field(
        None, description="Start from PATH, hf:REPO/FILE@REVISION, torchgeo:ENUM or timm:TAG; else from random numbers."
    )
    stem: str | None = pydantic.Field(
        None, description="Bands of the weights' first layer where nothing tells (VV,VH; rgb; grey), or adapt."
    )
    bands: Names | None = pydantic.Field(
        None, description="Bands by name, or derived: VV,VH or VV,VV-VH,VV/VH,VV+VH,RVI:VV:VH."
    )
    task: str | None = pydantic.Field(None, description="Nomenclature of the targets, where the build has several.")
    unit: str | None = pydantic.Field(
        None, description="dB, power or amplitude, from another of the three; the build's by default."
    )
    normalize: str = pydantic.Field(
        "zscore",
        description="zscore, minmax, percentile, robust, ssl4eo, fgmae-uint8, sarhub, … (docs/normalization.md).",
    )
    crop: int | None = pydantic.Field(
        None, ge=1, le=MOST_SIDE, description="Windows of this side, where images differ in size or are large."
    )
    pad: int | None = pydantic.Field(None, ge=1, le=MOST_SIDE, description="Extend images to this side.")
    image_size: int | None = pydantic.Field(None, ge=1, le=MOST_SIDE, description="Side that images are resized to.")
    resample: Literal["dB", "power"] = pydantic.Field(
        "dB", description="What resizing and random windows average: values as they are, or linear power."
    )
    centre: float = pydantic.Field(
        1.0, gt=0, le=1, description="Share of the side that evaluation keeps: 0.875 is resize 256, centre-crop 224."
    )
    augment: Names = pydantic.Field(("flips",), description="Steps such as flips,crop,speckle; none for none.")
    fraction: float | None = pydantic.Field(None, gt=0, le=1, description="Share of the train split, nested.")
    draw: int = pydantic.Field(0, ge=0, description="Number of the share that is drawn, for several few-shot runs.")
    each_class: bool = pydantic.Field(False, description="Draw the share of each class, one sample of each at least.")
    batch_size: int = pydantic.Field(64, ge=1, description="Samples a step, of each rank and before accumulation.")
    epochs: int = pydantic.Field(10, ge=1, description="Passes over the train split.")
    seed: int = pydantic.Field(0, ge=0, description="Decides order, augmentation and initial values.")
    optimiser: Literal["sgd", "adamw"] = pydantic.Field("adamw", description="SGD with momentum 0.9, or AdamW.")
    warmup: float = pydantic.Field(0.0, ge=0, description="Epochs of linear warm-up.")
    amp: Literal["none", "bf16", "fp16"] = pydantic.Field("none", description="Precision of the forward pass.")
    channels_last: bool = pydantic.Field(False, description="Memory layout that convolutions like on a GPU.")
    compile: bool = pydantic.Field(False, description="Compile the model with torch.compile.")
    select: Literal["auto", "val", "test", "last"] = pydantic.Field(
        "auto",
        description="Split that the best epoch is chosen on: val where there is one, else the last epoch is taken; "
        "test only to repeat what was published.",
    )
    eval_every: int = pydantic.Field(1, ge=1, description="Epochs between evaluations of the split chosen on.")
    threads: int | None = pydantic.Field(
        None, ge=1, description="Threads that read and normalize; by default a share of the cores."
    )
    picture_format: Literal["png", "pdf", "svg"] = pydantic.Field(
        "png", description="Of pictures; a finished run is drawn again in another one."
    )
    device: str | None = pydantic.Field(None, description="cpu or cuda; by default a GPU where there is one.")
    control: Literal["none", "shuffled-labels"] = pydantic.Field(
        "none", description="shuffled-labels: train and choose on permuted targets, to see what chance gives."
    )

    @pydantic.model_validator(mode="after")
    def _heard(self) -> Self:
        """Refuse what would be ignored in silence."""
        if self.stem is not None and self.weights is None:
            raise ValueError(f"stem {self.stem}: is of `weights=…`, which are not given")
        if self.warmup > self.epochs:
            raise ValueError(f"warmup {self.warmup:g}: expected at most the {self.epochs} epochs")
        resized = self.image_size is not None or self.centre != 1 or any(one.startswith("crop") for one in self.augment)
        if self.resample == "power" and not resized:
            raise ValueError("resample power: nothing is resized: expected `image_size=…` with it")
        if self.fraction is None and (self.draw or self.each_class):
            raise ValueError(f"draw {self.draw}, each_class {self.each_class}: expected `fraction=…` with them")
        return self

    def seen(self, channels: Names, dates: int) -> Names:
        """Return the channels of an image as an encoder sees it: those of all dates, one date after the other."""
        return channels * dates

    @property
    def steps(self) -> Names:
        """The steps of augmentation of what a network sees."""
        return self.augment

    @property
    def share(self) -> dict[str, Any]:
        """What is drawn of the train split, as a stream takes it."""
        return {"fraction": self.fraction, "draw": self.draw, "each_class": self.each_class}

    @property
    def tiles(self) -> int | None:
        """Side of the windows in which whole images are evaluated, None where they are fed as they are in training."""
        return None


class Classes(Settings):
    """What jobs on classes of whole images add."""

    takes = ("multiclass", "multilabel")

    metrics: Literal["whole", "fgmae-batched"] = pydantic.Field(
        "whole", description="fgmae-batched adds the means of per-batch figures that FG-MAE reports."
    )


class Tuned(Settings):
    """What jobs that train an encoder add; `betas` are AdamW's."""

    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)

    init: str | None = pydantic.Field(None, description="Start from encoder and head of this finished run of the job.")
    lr: float = pydantic.Field(1e-3, gt=0, description="Highest learning rate.")
    min_lr: float = pydantic.Field(0.0, ge=0, description="Learning rate that the cosine ends at.")
    weight_decay: float = pydantic.Field(
        0.05, ge=0, description="Of weights; with AdamW not of biases, norms, tokens and positions."
    )
    accumulate: int = pydantic.Field(1, ge=1, description="Batches whose gradients make one step.")
    sync_bn: bool = pydantic.Field(False, description="Batch statistics over all ranks; on GPUs only.")
    checkpoint_every: int = pydantic.Field(0, ge=0, description="Steps between checkpoints inside an epoch; 0: none.")
    freeze: bool = pydantic.Field(False, description="Train the head alone.")
    layer_decay: float = pydantic.Field(1.0, gt=0, le=1, description="Factor of the learning rate from layer to layer.")
    drop_path: float = pydantic.Field(0.0, ge=0, lt=1, description="Stochastic depth of the last layer.")

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse what contradicts itself."""
        if self.init is not None and self.weights is not None:
            raise ValueError(f"init {self.init}, weights {self.weights}: expected one of both to start from")
        if self.min_lr > self.lr:
            raise ValueError(f"min_lr {self.min_lr:g}: expected at most lr, {self.lr:g}")
        if self.freeze and (self.drop_path or self.layer_decay != 1):
            raise ValueError("freeze: the encoder is not trained: leave drop_path and layer_decay out")
        return self


class Finetune(Tuned, Classes):
    """Train an encoder and a head on classes."""

    needs = "finetune takes classes of whole images"
    maker = "sar_data.train.classification:Classification"

    loss: str | None = pydantic.Field(
        None, description="ce, soft-margin, bce, focal, mini-cbl or mini-cbl-focal; by default what the task asks for."
    )
    pooling: str | None = pydantic.Field(None, description="cls, mean or last4; by default the encoder's first.")
    head: Literal["linear", "bn-linear"] = pydantic.Field("linear", description="bn-linear is FG-MAE's.")


class Probe(Classes):
    """Encode once, then train many heads on the features."""

    needs = "a probe takes classes of whole images"

    features: str | None = pydantic.Field(
        None, description="Folder of encoded features, which runs may share; by default one in the run's."
    )
    views: int = pydantic.Field(1, ge=1, description="Encoded views of each train image; the first is not augmented.")
    epochs: int = pydantic.Field(50, ge=1, description="Passes of the heads over the features.")
    batch_size: int = pydantic.Field(256, ge=1, description="Features a step of the heads, and images of the encoder.")
    eval_every: int = pydantic.Field(10, ge=1, description="Epochs between losses on the split chosen on, in the log.")
    optimiser: Literal["sgd", "adamw"] = pydantic.Field("sgd", description="SGD with momentum 0.9, or AdamW.")
    augment: Names = pydantic.Field((), description="Steps such as flips,crop for all views but the first.")
    lrs: tuple[pydantic.PositiveFloat, ...] = pydantic.Field(
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), description="Learning rates of the heads."
    )
    weight_decays: tuple[pydantic.NonNegativeFloat, ...] = pydantic.Field(
        (0.0, 1e-4), description="Weight decays of the heads."
    )
    poolings: Names | None = pydantic.Field(None, description="cls, mean, last4; by default all that the encoder has.")
    heads: Names = pydantic.Field(("linear", "bn-linear"), description="Heads with and without BatchNorm.")
    knn: tuple[pydantic.PositiveInt, ...] = pydantic.Field(
        (5, 20), description="Neighbours of the kNN classifiers; none for none."
    )
    temperature: float = pydantic.Field(0.07, gt=0, description="Of the kNN's votes.")
    logistic: tuple[pydantic.PositiveFloat, ...] = pydantic.Field(
        (0.01, 1.0, 100.0), description="Inverse penalties C of logistic regression by L-BFGS."
    )
    refine: bool = pydantic.Field(True, description="Try a finer grid around the best candidate, too.")

    @pydantic.model_validator(mode="after")
    def _once(self) -> Self:
        """Refuse to try the same twice."""
        for name in ("lrs", "weight_decays", "poolings", "heads", "knn", "logistic"):
            values = getattr(self, name) or ()
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {','.join(map(str, values))}: expected each once")
        return self


class Segment(Tuned):
    """Train an encoder and a decoder on masks."""

    takes = ("segmentation",)
    needs = "segment takes masks"
    maker = "sar_data.train.segment:Segmentation"

    loss: str | None = pydantic.Field(
        None, description="ce, focal, dice, dice-image, or a sum such as ce+0.5dice; by default ce."
    )
    head: str = pydantic.Field(
        "upernet",
        description="Decoder: upernet, deeplabv3-mmseg (both as mmseg has them), upernet-diary, upernet-smp, unet, "
        "fpn or deeplabv3.",
    )
    channels: int = pydantic.Field(256, ge=16, le=MOST_CHANNELS, description="Channels of the decoder.")
    auxiliary: float = pydantic.Field(0.0, ge=0, description="Weight of the auxiliary head's loss; 0: no such head.")
    tile: int | None = pydantic.Field(
        None,
        ge=32,
        le=MOST_SIDE,
        description="Side of the sliding window of evaluation; by default that of crop, if any.",
    )
    overlap: float = pydantic.Field(0.5, ge=0, le=MOST_OVERLAP, description="Share by which windows overlap.")

    @property
    def tiles(self) -> int | None:
        """Side of the sliding window of evaluation, None where images are seen whole."""
        return self.tile or self.crop


class Change(Segment):
    """Train on masks of what changed between dates of a place."""

    takes = ("change",)
    needs = "change takes several dates of a place and a mask of what changed"
    maker = "sar_data.train.segment.change:ChangeDetection"

    head: str = pydantic.Field(
        "unet", description="Decoder: unet, upernet (as mmseg has it), upernet-diary, upernet-smp, fpn or deeplabv3."
    )
    fusion: Literal["early", "concat", "diff", "abs-diff"] = pydantic.Field(
        "early",
        description="early: all dates are bands of one image; concat, diff, abs-diff: of the encoder's levels of each "
        "date.",
    )
    changed: Names | None = pydantic.Field(
        None, description="Classes that are a change, whose F1 chooses the epoch; by default all but the first."
    )

    def seen(self, channels: Names, dates: int) -> Names:
        """Return the channels of all dates where these are one image to the encoder, else those of each date."""
        return super().seen(channels, dates) if self.fusion == "early" else channels


ROTATED = ("rotated-fcos", "oriented-rcnn")
"""Detectors of rotated boxes, the default first."""


class Detect(Tuned):
    """Train a detector of boxes."""

    takes = ("detection",)
    needs = "detect takes boxes"
    maker = "sar_data.train.detect:Detection"

    boxes: Literal["horizontal", "rotated"] = pydantic.Field(
        "horizontal", description="Boxes that are learnt and found; rotated ones are drawn around outlines, too."
    )
    detector: Literal["fcos", "faster-rcnn", "rotated-fcos", "oriented-rcnn"] = pydantic.Field(
        "fcos",
        description="Detector on top of the pyramid; of rotated boxes rotated-fcos (the default) or oriented-rcnn.",
    )
    box_loss: Literal["gwd", "kfiou"] | None = pydantic.Field(
        None, description="Loss of boxes as Gaussians, of rotated-fcos alone; by default gwd."
    )
    channels: int = pydantic.Field(
        256, ge=32, le=MOST_CHANNELS, multiple_of=32, description="Channels of the pyramid and FCOS's head."
    )
    max_detections: int = pydantic.Field(100, ge=1, description="Boxes an image.")
    score_threshold: float = pydantic.Field(0.05, ge=0, le=1, description="Lowest score that is kept.")
    tile: int | None = pydantic.Field(
        None,
        ge=32,
        le=MOST_SIDE,
        description="Side of the tiles that whole images are evaluated in; by default that of crop.",
    )
    overlap: float = pydantic.Field(0.25, ge=0, le=MOST_OVERLAP, description="Share by which tiles overlap.")
    by: str = pydantic.Field(
        "scene", description="Attribute of the index; figures are told for each of its values, too, if they are few."
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _matched(cls, given: Any) -> Any:
        """Let a detector say what its boxes are, and boxes which detector is the default."""
        if not isinstance(given, dict):
            return given
        boxes, detector = given.get("boxes"), given.get("detector")
        if boxes is None and detector in ROTATED:
            given = {**given, "boxes": "rotated"}
        elif boxes == "rotated" and detector is None:
            given = {**given, "detector": ROTATED[0]}
        if given.get("detector") == ROTATED[0] and given.get("box_loss") is None:
            given = {**given, "box_loss": "gwd"}
        return given

    @pydantic.model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        """Refuse a detector of other boxes, and a loss that it does not have."""
        if (self.detector in ROTATED) != (self.boxes == "rotated"):
            fitting = ROTATED if self.boxes == "rotated" else ("fcos", "faster-rcnn")
            raise ValueError(
                f"detector {self.detector}: expected {' or '.join(fitting)}, which find {self.boxes} boxes "
                f"(`boxes={self.boxes}`)"
            )
        if self.box_loss is not None and self.detector != ROTATED[0]:
            raise ValueError(f"box_loss {self.box_loss}: is of `detector={ROTATED[0]}`, found {self.detector}")
        return self

    @property
    def tiles(self) -> int | None:
        """Side of the tiles of evaluation, None where images are seen whole."""
        return self.tile or self.crop


class Pretrain(Tuned):
    """Train an encoder on images alone: it predicts patches that it does not see."""

    maker = "sar_data.train.pretrain:Pretraining"
    labelled = False
    betas = (0.9, 0.95)  # as MAE's authors pretrain

    model: str = pydantic.Field("vit-s", description="Encoder: vit-s, vit-b, vit-l, vit-h or a plain ViT of timm.")
    target: Literal["pixel", "hog", "mgf"] = pydantic.Field(
        "pixel",
        description="Predicted of each masked patch: its pixels, histograms of oriented gradients (FG-MAE) or "
        "multi-scale gradients by ratio (SAR-JEPA, SARATR-X).",
    )
    mask_ratio: float = pydantic.Field(0.75, gt=0, lt=1, description="Share of the patches that are masked.")
    standardize: bool = pydantic.Field(True, description="Give the target of each patch mean 0 and variance 1.")
    mgf_radii: tuple[pydantic.PositiveInt, ...] = pydantic.Field(
        (9, 13, 17), min_length=1, description="Of the target mgf: radii of its windows, in pixels."
    )
    noise: str | None = pydantic.Field(
        None,
        pattern=r"^speckle(:\d+(\.\d+)?)?$",
        description="speckle:L: the encoder sees the image with added speckle of L looks, the target is of the image "
        "without it.",
    )
    watch: str | None = pydantic.Field(
        None,
        description="Build with classes, of whose test (or val) samples kNN finds the class by the encoder's features.",
    )
    watch_every: int = pydantic.Field(10, ge=1, description="Epochs between looks at the watched build.")
    augment: Names = pydantic.Field(("flips", "crop:0.2"), description="Steps such as flips,crop:0.2; none for none.")
    select: Literal["auto", "last"] = pydantic.Field("auto", description="The last epoch is taken in any case.")
    decoder_width: int = pydantic.Field(512, ge=16, le=MOST_CHANNELS, multiple_of=4, description="Of its tokens.")
    decoder_depth: int = pydantic.Field(8, ge=1, le=64, description="Blocks of the decoder.")
    decoder_heads: int = pydantic.Field(16, ge=1, le=256, description="Heads of the decoder's attention.")

    @pydantic.model_validator(mode="after")
    def _of_images_alone(self) -> Self:
        """Refuse options of labels and of splits that judge."""
        for name in ("task", "each_class", "freeze", "centre", "eval_every"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: of jobs with labels; pretrain reads the images of train alone: leave it out")
        if self.decoder_width % self.decoder_heads:
            raise ValueError(f"decoder_width {self.decoder_width}: expected a multiple of {self.decoder_heads} heads")
        return self

    @property
    def steps(self) -> Names:
        """The steps of augmentation, the noise with them."""
        return self.augment if self.noise is None else (*self.augment, self.noise)


JOBS: dict[str, type[Settings]] = {
    "probe": Probe,
    "finetune": Finetune,
    "segment": Segment,
    "change": Change,
    "detect": Detect,
    "pretrain": Pretrain,
}
