"""OpenSARShip 2.0: 34,528 chips of ships from 87 Sentinel-1 scenes, some with one polarization, some with HH and HV.

The idea is that of version 1.0 (see opensarship-1: forms, joins, units, classes), the archives are not. What is odd:
- Archives have no top folder: unpack each to a folder of its own name, or they overwrite each other. The product is
  known by <product>.xml beside Ship.xml, or by the folder's name. Some archives are .rar; one name ends in "(1)": a
  scene that is there twice stops the build.
- Two bands in Patch are VH and VV of a GRD product, or I and Q of one polarization of an SLC product: only the
  product's name tells. Each kind is a variant (`variant=slc-sv`); chips of other kinds are unused, with the variant
  to take. HV before HH is an analogy to the documented VH before VV.
- Ship.xml has CRLF line ends, SlantRangeTime in one word, ChipNoise, and "?" for letters beyond ASCII. That of GRD
  scenes ends in <\\ShipList>, which is read as </ShipList>, and told.
- The pictures of a single polarization do not name it, and those in Patch_RGB really are named .png.
"""

from __future__ import annotations

from pipelines._opensarship import TASK, family
from sar_data.spec import DatasetSpec, Source

PIPELINE = family(
    DatasetSpec(
        name="opensarship-2",
        aliases=("opensarship-2.0",),
        version="2.0",
        revision=1,
        title="OpenSARShip 2.0",
        evidence="real-files",
        bands=(),
        shape=None,
        dtype="float32",
        pixel_size_m=10.0,
        tasks=(TASK,),
        samples=34_528,
        sources=(
            Source(
                name="87 scene archives, <product>.zip or .rar",
                url="http://opensar.sjtu.edu.cn/",
                note="unpack each to a folder of its own name",
                manual="sign up at the site, take the archives of version 2.0 and unpack each to a folder of its name; "
                "a .rar needs unrar or bsdtar",
            ),
        ),
        lists=(),
        licence="none stated; the ReadMe of version 1.0 says: Distribution: Open",
        citation="Li et al. 2017, doi:10.1109/BIGSARDATA.2017.8124929",
        terrain_corrected=False,
        range_axis="x",
    ),
    known="slc-sv",
)
