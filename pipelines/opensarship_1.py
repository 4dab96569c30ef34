"""OpenSARShip 1.0: 11,346 chips of ships from 41 Sentinel-1 scenes, with what each ship reported of itself by AIS.

A scene is a folder named by its product, with Ship.xml and the chips in Patch (digital numbers), Patch_Cal (sigma0 in
power), Patch_Uint8 (stretched pictures) and Patch_RGB (PNG figures named .tif: no data, never read). What is odd:
- Bands follow from the product, never from their number: GRD holds the amplitudes VH, VV; SLC holds I and Q of each.
  Each kind of product is a variant, in three forms (`variant=slc-dv`, cal would be grd-dv-cal); chips of other kinds
  are counted as unused, with the variant to take. HV before HH is an analogy, VH before VV is documented.
- A chip is joined to its ship by the centre of both. UpperLeft is greater than LowerRight. Sog, Cog and Draught are
  tenths; absent values are the word NaN; times look like 2015/8/23.22:12:45.
- Class names have spaces. Where the name and the AIS type code disagree the build stops.
- Chips are square, of odd and different sizes, in radar geometry. No split is official; a scene is a group.
"""

from __future__ import annotations

from pipelines._opensarship import TASK, family
from sar_data.spec import DatasetSpec, Source

PIPELINE = family(
    DatasetSpec(
        name="opensarship-1",
        aliases=("opensarship-1.0",),
        version="1.0",
        revision=1,
        title="OpenSARShip 1.0",
        evidence="real-files",
        bands=(),
        shape=None,
        dtype="float32",
        pixel_size_m=10.0,
        tasks=(TASK,),
        samples=11_346,
        sources=(
            Source(
                name="41 scene archives, <product>.zip",
                url="http://opensar.sjtu.edu.cn/",
                note="unpack into one folder",
                manual="sign up at the site, take the 41 archives of version 1.0, unpack each to a folder of its name",
            ),
        ),
        lists=(),
        licence="none stated; its ReadMe says: Distribution: Open",
        citation="Huang et al. 2018, doi:10.1109/JSTARS.2017.2755672",
        terrain_corrected=False,
        range_axis="x",
    ),
    known="grd-dv",
)
