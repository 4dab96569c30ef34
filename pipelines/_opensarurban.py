"""How OpenSARUrban may lie on a disk: where its formats and packages are is told by the names of folders alone."""

from __future__ import annotations

import posixpath
import re
from itertools import combinations
from typing import NamedTuple

from sar_data.errors import SourceError
from sar_data.record import Window, window_of
from sar_data.spec import Tree

CLASSES = (
    "highbuildings",
    "StorageArea",
    "GeneralResidential",
    "denselow",
    "Skyscraper",
    "SingleBuilding",
    "vegetation",
    "highway",
    "airport",
    "railway",
)
LABELS = {name.lower().rstrip("s"): label for label, name in enumerate(CLASSES)}
FILE = re.compile(r"((?P<cls>[A-Za-z]+)_x(?P<x>\d+)_y(?P<y>\d+)_Polygon(?P<n>\d+))_v[vh](?P<end>\.(?i:tiff?|png))")
SHAPE = (100, 100)  # pixels, as the publisher says
FORMS = {"calibrated": r"calib", "uint8": r"uint8|8.?bit|gr[ae]y|visual", "pseudo-colour": r"rgb|pseudo|colou?r"}
SPEAKING = re.compile("|".join(FORMS.values()) + r"|imag|orig|patch|^\.$", re.I)


class Layout(NamedTuple):
    """The folder above all others, the packages (none: the files say nothing of them) and a file of each folder."""

    top: str
    packages: tuple[str, ...]
    first: tuple[str, ...]


def window(key: str, shape: tuple[int, int]) -> Window:
    """Return where a picture lies among those of its polygon, by its key; raise ValueError for what is no key.

    Pictures of a polygon lie 100 apart or more in x or y, which are therefore pixels of a scene. Names do not tell
    which scene, so no place is shared by two polygons.
    """
    if (named := FILE.search(f"{key}_vv.tif")) is None:
        raise ValueError(f"expected a key <Class>_x<X>_y<Y>_Polygon<N>, found {key}")
    package = key[: named.start()].rstrip("_")
    scene = " ".join(filter(None, ("OpenSARUrban", package, named["cls"], f"Polygon{named['n']}")))
    return window_of(scene, row=int(named["y"]), column=int(named["x"]), height=shape[0], width=shape[1])


def folders(tree: Tree, form: str, path: str = "", below: int = 4) -> dict[str, list[str]]:
    """Return folder → names of pictures for the folders whose path speaks of a form; "original" is that of no other."""
    names = [name for name in tree.files(path) if FILE.fullmatch(name)]
    spoken = next((other for other, hint in FORMS.items() if re.search(hint, path, re.I)), "original")
    cities = {path: names} if names and spoken == form else {}
    for name in tree.folders(path) if below else ():
        cities |= folders(tree, form, posixpath.join(path, name), below - 1)
    return cities


def package(folder: str, top: str) -> str:
    """Return what is left of a folder's path without the common top, the form and the class: a city or a package."""
    parts = posixpath.relpath(folder or ".", top or ".").split("/")
    return "_".join(part for part in parts if part.lower().rstrip("s") not in LABELS and not SPEAKING.search(part))


def discover(tree: Tree, form: str) -> Layout:
    """Return how the pictures of a form lie; raise SourceError where there are none, or two answers."""
    cities = folders(tree, form)
    if not cities:
        others = ", ".join(other for other in ("original", *FORMS) if folders(tree, other))
        raise SourceError(
            f"expected {form} pictures named <Class>_x<X>_y<Y>_Polygon<N>_vv.tif, found "
            f"{f'only {others}: take that `variant=…`' if others else 'no form of them: name the top folder'}"
        )
    top = posixpath.commonpath(list(cities)) if "" not in cities else ""
    places: dict[str, set[str]] = {}
    for folder, names in cities.items():
        places.setdefault(package(folder, top), set()).update(names)
    for (name, a), (other, b) in combinations(sorted(places.items()), 2):
        if 2 * len(a & b) > min(len(a), len(b)):
            raise SourceError(
                f"expected {name or 'the rest'} and {other} to be packages of different places, found {len(a & b)} "
                "names in both: these may be two formats; keep the one you mean, or name its folder as `source=…`"
            )
    first = tuple(posixpath.join(folder, min(names)) for folder, names in sorted(cities.items()))
    return Layout(top, tuple(sorted(filter(None, places))), first)
