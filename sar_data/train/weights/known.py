"""What is known of published weights: the bands their first layer saw, how those were normalized, and their licence.

A file is known by its name, which people rarely change, or by torchgeo's name for it; how its tensors are called is
found out from the file itself (layout.py). Sources: the authors' code, and torchgeo's `docs/api/weights/sentinel1.csv`.

- FG-MAE's and SSL4EO-S12's MAE (github.com/zhu-xlab/FGMAE at 1144e55): bands VV, VH in dB, stretched to 8 bits a patch.
  torchgeo declares a z-score for the very same files, so both are right for its names.
- MoCo, DeCUR and SoftCon: bands VV, VH in dB, z-score with SSL4EO-S12's figures.
- Satlas: bands VH, VV, in that order, as 8-bit values of its own scaling over 255, which no build here has.
- SAR-HUB: one polarization given three times, stretched to 0 … 1 between a patch's quantiles.
- RSP, GeRSP, MTP, SatMAE and Scale-MAE: optical red, green and blue, so no normalization of SAR is theirs.

Licences are of the weights, as torchgeo's tables (`sentinel1.csv`, `agnostic.csv`) and the files' pages on the hub give
them; the code may have another one. What neither says is UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sar_data.stream.normalize import FGMAE

RGB, GREY = "rgb", "grey"
OPTICAL = (RGB, RGB, RGB)
REPEATED = (GREY, GREY, GREY)
UNKNOWN = "unknown"  # licence


@dataclass(frozen=True)
class Known:
    """A family of files.

    `channels` are the bands of the first layer in their order; three times "rgb" stands for red, green and blue, three
    times "grey" for one polarization given three times. `normalize` are the normalizations that the weights expect,
    the family's own first; () where none of SAR's applies. `figures` are band → mean and std of a z-score. `licence` is
    that of the weights.
    """

    pattern: str
    family: str
    channels: tuple[str, ...]
    normalize: tuple[str, ...] = ()
    figures: Mapping[str, tuple[float, float]] | None = None
    licence: str = UNKNOWN


_DUAL = ("VV", "VH")
KNOWN = (
    Known(r"SENTINEL1_GRD_(FG)?MAE$", "fgmae", _DUAL, ("zscore", "fgmae-uint8"), FGMAE, "CC-BY-4.0"),
    Known(r"SENTINEL1_GRD_(MOCO|SOFTCON)$", "ssl4eo", _DUAL, ("zscore",), FGMAE, "CC-BY-4.0"),
    Known(r"SENTINEL1_GRD_DECUR$", "ssl4eo", _DUAL, ("zscore",), FGMAE, "Apache-2.0"),
    Known(r"SENTINEL1_[SM]I_SATLAS$", "satlas", ("VH", "VV"), ("satlas-uint8",), licence="ODC-BY"),
    Known(r"^B2_vit[sblh]\d+_(fg)?mae", "fgmae", _DUAL, ("fgmae-uint8",), FGMAE, "CC-BY-4.0"),
    Known(r"^B2_.*(moco|dino|softcon)", "ssl4eo", _DUAL, ("zscore",), FGMAE, "CC-BY-4.0"),
    Known(r"^B2_.*decur", "ssl4eo", _DUAL, ("zscore",), FGMAE, "Apache-2.0"),
    Known(r"sentinel1_swinb_[sm]i", "satlas", ("VH", "VV"), ("satlas-uint8",), licence="ODC-BY"),
    Known(
        r"(resnet(18|50|101)|senet50|mobilenet\w*|densenet121|swin[-_]?[tb])[-_](tsx|ben|osu)\b",
        "sar-hub",
        REPEATED,
        ("sarhub",),
    ),
    Known(r"\brsp[-_]", "rsp", OPTICAL),
    Known(r"gersp", "gersp", OPTICAL),
    Known(r"rvsa|\bmtp\b", "mtp", OPTICAL),
    Known(r"scale-?mae", "scale-mae", OPTICAL, licence="CC-BY-NC-4.0"),
    Known(r"satmae|fmow_pretrain|fmow_rgb", "satmae", OPTICAL),
)


def is_non_commercial(licence: str) -> bool:
    """Say whether a licence's name is of those that allow no commercial use, such as CC-BY-NC-4.0."""
    return "-NC" in licence.upper()


def known(name: str) -> Known | None:
    """Return what is known of a file or of torchgeo's name for one; None for any other."""
    return next((row for row in KNOWN if re.search(row.pattern, name, re.I)), None)
