"""What is known of how values were processed, where several datasets have it in common."""

from __future__ import annotations

from sar_data.spec import Processing

IW_FLOOR = -22.0  # dB, the largest noise-equivalent sigma0 of Sentinel-1's specification of IW
EARTH_ENGINE = Processing(
    processor="Sentinel-1 IPF, its version in each image's metadata.json",
    thermal_noise="removed",
    border_noise="removed",
    speckle_filter="none",
    noise_floor=IW_FLOOR,
    source="Earth Engine's guide to COPERNICUS/S1_GRD: orbit file, border noise, thermal noise, calibration, terrain "
    "correction with SRTM 30 m, ASTER beyond 60° of latitude; noise floor by Sentinel-1's specification of IW",
)
LIKE_UNFILTERED = Processing(
    speckle_filter="none",
    noise_floor=IW_FLOOR,
    source="measured: real patches have the looks (ENL) of Earth Engine's unfiltered images; noise floor by "
    "Sentinel-1's specification of IW",
)
NOT_SENTINEL_1 = Processing(border_noise="none", source="border noise is one of Sentinel-1's GRD products alone")
LICSAR = Processing(processor="LiCSAR, of Sentinel-1 SLC products", border_noise="none", source="Hephaestus' README")
