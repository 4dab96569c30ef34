"""One size for images of many, where nobody asks for one: whole images if they are small, windows of them if not."""

from __future__ import annotations

from collections.abc import Sequence

from sar_data.progress import Say
from sar_data.sealed.files import open_files
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.stream.rows import largest
from sar_data.train.settings import Detect, Segment, Settings

WHOLE = 1024  # pixels of a side, up to which images are seen whole
WINDOW = 512  # side of the windows of larger ones


def sized(builds: str | Sequence[str], settings: Settings, say: Say) -> Settings:
    """Return settings that make one size of a build's images, and say it; as they are where they do, or all are alike.

    Of several builds it is one size for all of them.

    Images are extended to the largest side of all splits. Of larger ones jobs on pixels and objects, which evaluate
    whole images in tiles, are trained on windows: of the size of `tile`, where that is given.
    """
    if settings.crop is not None or settings.pad is not None:
        return settings
    shapes, sides = set[tuple[int, int] | None](), [0]
    for build in [builds] if isinstance(builds, str) else builds:
        files = open_files(build)
        try:
            manifest = Manifest.load(files.folder)
            shapes.add(shape := layout_of(manifest).shape)
            sides.append(largest(files, manifest, manifest.splits) if shape is None else max(shape))
        finally:
            files.close()
    if len(shapes) == 1 and None not in shapes:
        return settings
    side = max(sides)
    windows = isinstance(settings, Segment | Detect) and settings.image_size is None
    if windows and (settings.tiles is not None or side > WHOLE):
        side = settings.tiles or WINDOW
        say(f"images differ in size: the job is trained on windows of {side} pixels (`crop={side}`)")
        return settings.model_copy(update={"crop": side})
    say(f"images differ in size: each is extended to {side} pixels (`pad={side}`); `crop=…` takes windows")
    return settings.model_copy(update={"pad": max(side, 1)})
