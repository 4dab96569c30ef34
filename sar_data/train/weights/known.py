"""What is known of published weights by the name of their file, or torchgeo's name for it: families.toml, looked up.

People rarely change a file's name; the names of its tensors are read from the file itself (layout.py). Sources:
the authors' code, torchgeo's `docs/api/weights/sentinel1.csv` and `agnostic.csv`, and the files' pages on the hub.
Licences are of the weights; the code may have another one. A licence that is not stated is UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sar_data.normalization.presets import presets
from sar_data.train.families import UNKNOWN, families

RGB, GREY = "rgb", "grey"
OPTICAL = (RGB, RGB, RGB)
REPEATED = (GREY, GREY, GREY)


@dataclass(frozen=True)
class Known:
    """A family of files.

    `channels` are the bands of the first layer in their order; three times "rgb" stands for red, green and blue, three
    times "grey" for one polarization given three times. `normalize` are the normalizations that the weights expect, the
    family's own first; () where none of SAR's applies. `figures` are band → mean and std of a z-score, `unit` that of
    the values, `licence` that of the weights, `sha256` published hashes of files. `why` is the reason why a family does
    not load.
    """

    pattern: str
    family: str
    channels: tuple[str, ...]
    normalize: tuple[str, ...] = ()
    figures: Mapping[str, tuple[float, float]] | None = None
    licence: str = UNKNOWN
    unit: str = ""
    why: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)


def _known() -> Iterator[Known]:
    for name, family in families().items():
        figures = presets()[family.figures].bands if family.figures else None
        named = family.normalize_torchgeo or family.normalize
        for pattern, normalize in ((family.torchgeo, named), (family.files, family.normalize)):
            if pattern:
                about = (family.licence, family.unit, family.why, family.sha256)
                yield Known(pattern, name, family.bands, normalize, figures, *about)


KNOWN = tuple(_known())


def is_non_commercial(licence: str) -> bool:
    """Say whether a licence forbids commercial use by its name, such as CC-BY-NC-4.0."""
    return "-NC" in licence.upper()


def known(name: str) -> Known | None:
    """Return what is known of a file or of torchgeo's name for one; None for any other."""
    return next((row for row in KNOWN if re.search(row.pattern, name, re.I)), None)
