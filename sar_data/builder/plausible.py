"""Whether the values of a sealed build can be the calibrated backscatter that they are taken for, by their medians."""

from __future__ import annotations

from collections.abc import Iterator

from sar_data.progress import WARNING
from sar_data.radiometry import CONVERTIBLE
from sar_data.sealed.documents import BandDocument
from sar_data.sealed.manifest import Manifest

CALIBRATED = ("sigma0", "gamma0", "beta0")
LEAST, MOST = -40.0, 10.0  # dB: between them lies the median of land, sea and ice


def implausible(manifest: Manifest) -> str:
    """Return one warning of all bands whose median no backscatter has, an empty one where there is none."""
    values = dict(_beyond(manifest))
    if not values:
        return ""
    medians = ", ".join(f"{name} {median:.1f} dB" for name, median in values.items())
    return (
        f"{WARNING}the median of the train split is {medians}: that of land and sea lies within about {LEAST:g} and "
        f"{MOST:g} dB. Likely the files need a scale (`scale=…`), are in another unit (`unit=…`), or are not calibrated"
    )


def _beyond(manifest: Manifest) -> Iterator[tuple[str, float]]:
    """Yield the bands of backscatter with a median beyond the limits, in dB."""
    train = (manifest.statistics or {}).get("train")
    for band, figures in ((band, train.bands[band.name]) for band in manifest.bands) if train else ():
        of_db = figures.stored if band.unit == "dB" else figures.db
        median = of_db.percentiles.get("p50") if of_db else None
        if _is_calibrated(band) and median is not None and not LEAST <= median <= MOST:
            yield band.name, median


def _is_calibrated(band: BandDocument) -> bool:
    """Say whether a band is taken for calibrated backscatter: power is, unless it is said to be another one."""
    if band.unit not in CONVERTIBLE:
        return False
    return band.calibration in CALIBRATED or (band.unit == "power" and band.calibration == "unknown")
