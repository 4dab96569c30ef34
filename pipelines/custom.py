"""Data of one's own: a folder of images with a declaration, dataset.toml, and no line of Python.

`sar-data init DIR` looks at a folder and begins its dataset.toml; `sar-data build DIR` builds what it declares, and
`sar-data build custom --source DIR --unit power --bands VV,VH` does without the file, since each of its fields is an
option. Images are GeoTIFF, PNG, JPEG or .npy: all bands in one file or a band a file, several dates by suffix. Labels
are class folders, lists, a table in CSV or Parquet, masks or boxes; splits are folders, lists, a column, or drawn by
class, group or place. What is odd about such data:
- Nothing in the files says the unit. It is asked for, and nothing but 8-bit pictures is built without it.
- The order of bands is what the declaration says; polarizations are known only by the names of bands.
- Georeferences are kept, so that blocks and leakage work as for published data.
What was guessed from names and tables is printed, and kept in the manifest.
"""

from __future__ import annotations

from sar_data.own.declaration import NAME
from sar_data.own.pipeline import pipeline_of, undeclared_spec
from sar_data.spec import Tree


def units(tree: Tree) -> list[str]:
    """Return the declaration at the root: it makes a folder a set of one's own."""
    return [name for name in tree.files() if name == NAME]


PIPELINE = pipeline_of(undeclared_spec("custom", "Images of one's own"), units)
