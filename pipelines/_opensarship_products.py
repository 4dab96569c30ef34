"""The Sentinel-1 products of which OpenSARShip is made: which folders are scenes, and what their bands are."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import xxhash

from sar_data.errors import BadRecord, SourceError
from sar_data.labels import ais
from sar_data.raster import tiff
from sar_data.record import SourceFile
from sar_data.spec import Band, Tree

PRODUCT = re.compile(
    r"(S1[AB]_IW_(GRDH|SLC_)_1S([DS][VH])_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_[0-9A-F]{4})(?: ?\(\d+\))?"
)
CHIP = re.compile(r"(?:Visual_)?((?P<type>.+)_x(?P<x>\d+)_y(?P<y>\d+?))(?:_(?:vh|vv|hh|hv))?\.tif")
FOLDERS = {"": "Patch", "cal": "Patch_Cal", "uint8": "Patch_Uint8"}
# The ReadMe gives VH before VV; that HV comes before HH is by analogy, and is tested where such a scene is built.
POLARIZATIONS = {"dv": ("VH", "VV"), "dh": ("HV", "HH"), "sv": ("VV",), "sh": ("HH",)}
KINDS = tuple(f"{product}-{pols}" for product in ("grd", "slc") for pols in POLARIZATIONS)


END_BYTES = 64


class Scene(NamedTuple):
    """A product's name and kind, its ships by the centre of their chips, and the file that lists them."""

    product: str
    kind: str
    ships: dict[ais.Place, ais.Ship]
    file: SourceFile


def bands(kind: str, form: str, polarizations: tuple[str, ...]) -> tuple[Band, ...]:
    """Return the bands of a kind of product in a form, in the order of the files."""
    if form == "cal":
        return tuple(Band(name=p, polarization=p, unit="power", description=f"sigma0 {p}") for p in polarizations)
    if form == "uint8":
        text = "amplitude {}, each chip stretched to 255 by itself"
        return tuple(Band(name=p, polarization=p, unit="8-bit", description=text.format(p)) for p in polarizations)
    if kind.startswith("grd"):
        text = "digital number {}, an amplitude"
        return tuple(Band(name=p, polarization=p, unit="amplitude", description=text.format(p)) for p in polarizations)
    return tuple(
        Band(name=f"{p}_{part}", polarization=p, unit="DN", description=f"{word} of the complex {p}")
        for p in polarizations
        for part, word in (("I", "real part"), ("Q", "imaginary part"))
    )


def variant(kind: str, form: str) -> str:
    """Return the name of the variant; the default has none."""
    return "-".join(filter(None, (kind, form))) if (kind, form) != ("grd-dv", "") else ""


def advice(kind: str, form: str) -> str:
    """Return the option that takes a kind of product in a form."""
    return f"take `variant={name}`" if (name := variant(kind, form)) else "take no `variant=…`"


def scenes(tree: Tree, path: str = "", below: int = 4) -> Iterator[str]:
    """Yield the folders that hold Patch folders, however deep the archives were unpacked."""
    folders = tree.folders(path)
    if not set(FOLDERS.values()).isdisjoint(folders):
        yield path
        return
    for name in folders if below else ():
        yield from scenes(tree, posixpath.join(path, name), below - 1)


def product(tree: Tree, scene: str) -> tuple[str, str]:
    """Return a scene's product and kind, by the product's XML file, its folder or those above, or its metadata."""
    files = tree.files(scene)
    names = [name.removesuffix(".xml") for name in files if name.endswith(".xml")] + scene.split("/")[::-1]
    if "Metedata.xml" in files:  # the publisher's spelling
        head = tree.read(posixpath.join(scene, "Metedata.xml"))
        names += [name.decode("ascii", "replace") for name in re.findall(rb'name="PRODUCT" value="([^"]*)"', head)]
    products = dict.fromkeys(match.groups() for name in names if (match := PRODUCT.fullmatch(name)))
    if len(products) != 1:
        several = ", ".join(product[0] for product in products)
        raise BadRecord(
            scene or ".",
            f"expected the name of one Sentinel-1 product, found {several or 'none'}: unpack each "
            "archive to a folder of its name",
        )
    ((name, level, pols),) = products
    return name, f"{level[:3].lower()}-{pols.lower()}"


@lru_cache(maxsize=8)
def open_scene(tree: Tree, scene: str, size: int) -> Scene:
    """Return a scene with a list of `size` bytes, read once for all of its chips; raise BadRecord."""
    path = posixpath.join(scene, "Ship.xml")
    data = tree.read(path)
    file = SourceFile(path, len(data), xxhash.xxh3_128_hexdigest(data))
    return Scene(*product(tree, scene), ais.read_ships(data, path), file)


def list_ends(tree: Tree, scene: str) -> Iterator[bytes]:
    """Yield the last bytes of a scene's list of ships, nothing where it has none, which is scan's to name."""
    if "Ship.xml" in tree.files(scene):
        path = posixpath.join(scene, "Ship.xml")
        yield tree.pread(path, max(0, tree.size(path) - END_BYTES), END_BYTES)


def order(tree: Tree, scene: str, kind: str, form: str) -> tuple[str, str]:
    """Return HV and HH in the order of a scene's bands: that in which they resemble the pictures named _hv and _hh."""
    at = posixpath.join(scene, FOLDERS[form])
    path = min((f"{at}/{name}" for name in tree.files(at) if CHIP.fullmatch(name)), default="")
    if not path:
        raise SourceError(f"{at}: expected chips named <Type>_x<X>_y<Y>.tif, found none: unpack the archive again")
    parts = 2 if kind.startswith("slc") and not form else 1
    pixels = np.nan_to_num(tiff.read(tree.read(path), path, shape=None, dtypes=("float32",), bands=2 * parts).pixels)
    visual = posixpath.join(scene, FOLDERS["uint8"], "Visual_" + posixpath.basename(path).removesuffix(".tif"))
    named = [f"{visual}_{pol}.tif" for pol in ("hv", "hh")]
    shape = pixels.shape[1:]
    pictures = [tiff.read(tree.read(p), p, shape=shape, dtypes=("uint8",), bands=1).pixels.reshape(-1) for p in named]
    likeness = np.corrcoef(np.vstack([np.linalg.norm(pixels.reshape(2, parts, -1), axis=1), *pictures]))[:2, 2:]
    polarizations = {(0, 1): ("HV", "HH"), (1, 0): ("HH", "HV")}.get(tuple(likeness.argmax(1).tolist()))
    if polarizations is None:
        seen = likeness.round(2).tolist()
        raise SourceError(f"{path}: expected bands like {named}, found correlations {seen}: take the uint8 form")
    return polarizations
