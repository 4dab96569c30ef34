"""Load published weights of any family into an encoder, or raise an error that lists what does not fit.

    encoder = backbone("vit-s", ("VV", "VH"), image_size=224)
    provenance = load(encoder, "B2_vits16_fgmae_ep99.pth", pooling="cls", normalize="fgmae-uint8")

source.py finds the file, reading.py reads it safely, known.py knows its bands, layout.py its names; stem.py and fit.py
bring the tensors into the encoder's shapes.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from sar_data.errors import UsageError
from sar_data.system.checksum import sha256
from sar_data.train.families import UNKNOWN
from sar_data.train.models.encoder import Backbone
from sar_data.train.models.finite import not_finite
from sar_data.train.weights import stem as stems
from sar_data.train.weights.fit import Fit, fit, stems_of
from sar_data.train.weights.foundation import TERRAMIND, of_product
from sar_data.train.weights.known import Known, is_non_commercial
from sar_data.train.weights.layout import ANY, layout_of
from sar_data.train.weights.reading import Contents, read
from sar_data.train.weights.source import WeightsFile, find

log = logging.getLogger("sar_data.train")


@dataclass(frozen=True)
class Provenance:
    """The source of an encoder's weights and the changes made to them, for config.json.

    `part` is the entry of the file that has them, `family` the known family of the file, or None, `layout` how it names
    its tensors. `channels` is the run's band → the part of the checkpoint that it was made of. `normalize`
    are the normalizations that the weights expect, the family's own first (() where unknown), `figures` band →
    mean and std of theirs. `dropped`, `fresh` and `resized` name every tensor that was not copied unchanged.
    `licence` is that of the weights, or "unknown".
    """

    source: str
    file: str
    sha256: str
    part: str
    family: str | None
    layout: str
    checkpoint_channels: tuple[str, ...]
    channels: Mapping[str, str]
    normalize: tuple[str, ...]
    figures: Mapping[str, tuple[float, float]]
    dropped: tuple[str, ...]
    fresh: tuple[str, ...]
    resized: Mapping[str, str]
    licence: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)


def load(
    encoder: Backbone,
    spec: str,
    *,
    pooling: str | None,
    normalize: str | None,
    stem: str | None = None,
    units: Iterable[str] = (),
) -> Provenance:
    """Load weights into an encoder, which is fixed to `pooling`, and return their provenance.

    `spec` is PATH, hf:REPO/FILE@REVISION, torchgeo:ENUM or timm:TAG. `pooling` is the use of the encoder, a
    pooling or "levels"; None keeps every pooling that the weights admit, as a probe needs.
    `normalize` is the run's and `units` are its bands', and a warning is logged where the weights expect others. `stem`
    names the bands of the checkpoint's first layer where they are not known ("VV,VH", "rgb" or "grey"), or "adapt"
    to use them for any band; of TerraMind, the embedded product ("s1grd" or "s1rtc").

    Raises UsageError for weights that do not fit, with every name that is missing or left over (only a ViT's fc_norm
    may be missing), BuildError for a file that is no checkpoint or not a safe one, FetchError where a server did not
    answer, and MissingExtra where a library is missing.
    """
    file = find(spec)
    if file.known and file.known.why:
        raise UsageError(f"{spec}: weights of {file.known.family} do not load: {file.known.why}")
    if pooling is not None:
        encoder.settle(pooling)
    contents, row = read(file.path), file.known
    try:
        taken = _load_tensors(encoder, contents, row, stem, settled=pooling is not None)
    except UsageError as error:
        raise UsageError(f"{spec}: {error}") from None
    except (
        ArithmeticError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:  # from unknown names and shapes
        raise UsageError(f"{spec}: expected weights of {encoder.name}, found others: {str(error)[:300]}") from error
    if name := not_finite(encoder):
        raise UsageError(f"{spec}: {name}: expected finite weights, found NaN or infinity: fetch the file again")
    expected = (contents.normalize,) if contents.normalize else row.normalize if row else ()
    digest = sha256(file.path)
    _caution(spec, file, digest, expected, normalize, set(units))
    return Provenance(
        source=spec,
        file=file.path.name,
        sha256=digest,
        part=contents.part,
        family=row.family if row else None,
        layout=taken.layout,
        checkpoint_channels=taken.seen,
        channels=taken.channels,
        normalize=expected,
        figures=_figures(row),
        dropped=tuple(sorted((*contents.dropped, *taken.fit.dropped))),
        fresh=tuple(taken.fit.fresh),
        resized=dict(sorted(taken.fit.resized.items())),
        licence=row.licence if row else UNKNOWN,
    )


def _caution(
    spec: str, file: WeightsFile, digest: str, expected: tuple[str, ...], normalize: str | None, units: set[str]
) -> None:
    """Warn of images that the weights do not expect, of another file than the published one, and of licences."""
    row = file.known
    if expected and normalize not in expected:
        _warn(spec, f"images normalized by {' or '.join(expected)}, this run normalizes by {normalize}")
    if row is None:
        return
    if row.unit == "dB" and (others := units - {"dB"}):
        _warn(spec, f"images in dB, this build's are in {' and '.join(sorted(others))}")
    if (published := row.sha256.get(file.path.name, digest)) != digest:
        log.warning("%s: expected the published file of this name (sha256 %s), found another", spec, published)
    if is_non_commercial(row.licence):
        log.warning("%s: the licence of these weights, %s, allows no commercial use", spec, row.licence)


class _Taken(NamedTuple):
    """What was loaded from a checkpoint: see Provenance."""

    layout: str
    seen: tuple[str, ...]
    channels: Mapping[str, str]
    fit: Fit


def _load_tensors(
    encoder: Backbone, contents: Contents, row: Known | None, stem: str | None, *, settled: bool
) -> _Taken:
    """Load a file's tensors into an encoder; raise UsageError where they do not fit."""
    layout, named = layout_of(contents.tensors, encoder), contents.tensors
    if TERRAMIND in named:
        named, stem = of_product(named, stem), None
    tensors = layout.renamed(named, encoder.net)
    if not settled and "norm.weight" not in tensors and ("fc_norm.weight" in tensors or layout.name == "dofa"):
        encoder.settle("mean")  # these weights have no norm for another pooling
    first = tensors.get(stems_of(encoder)[0])
    count = first.shape[1] if first is not None and first.ndim == 4 else 0
    own = encoder.channels if layout.bands == ANY else layout.bands
    declared = own or contents.channels or (row.channels if row else None)
    seen = stems.seen_channels(stem, declared, count, encoder.channels) if count else ()
    channels: dict[str, str] = {}

    def fit_stem(weight: Tensor) -> Tensor:
        if weight.ndim != 4:
            return weight
        adapted, what = stems.fit(weight, seen, encoder.channels, adapt=stem == stems.ADAPT)
        channels.update(what)
        return adapted

    computed = row is not None and row.family == "scale-mae"
    return _Taken(layout.name, seen, channels, fit(encoder, tensors, fit_stem, computed=computed))


def _warn(spec: str, what: str) -> None:
    log.warning("%s: these weights expect %s: results may suffer", spec, what)


def _figures(row: Known | None) -> dict[str, tuple[float, float]]:
    return dict(row.figures) if row and row.figures else {}
