"""Write a first declaration for a folder: what its files show, guesses with their evidence, and questions."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sar_data.containers.find import find_container
from sar_data.errors import SarDataError, SourceError, UsageError
from sar_data.naming import few
from sar_data.own.classes import classes_of
from sar_data.own.declaration import NAME, Declaration, read_declaration
from sar_data.own.evidence import Evidence, class_values, evidence_of, spaced_sample
from sar_data.own.guess import POLARIZATIONS, complete_declaration, is_open
from sar_data.own.images import is_image
from sar_data.own.survey import Survey, boxes_of, paths_of, survey_folder
from sar_data.raster import any_format
from sar_data.sources.filter import Filtered
from sar_data.sources.tree import Folder
from sar_data.spec import MASKED, Tree
from sar_data.split.blocks import Blocks
from sar_data.split.missing_classes import find_better_split
from sar_data.text import literal

UNITS = "dB, power, amplitude, DN (no radiometric meaning), 8-bit (a stretched picture) or phase"
LINE = 118
MAX_SAMPLED = 200  # files whose header is read, and entries of a sibling folder
MIN_ZEROS = 0.001  # share of zeros that is worth a question


def init_declaration(folder: Path, names_used: Collection[str] = ()) -> Path:
    """Write dataset.toml into a folder and return its path; `names_used` are the names of other datasets.

    Raises UsageError where the file exists, because nothing is overwritten, and SourceError for a folder without
    images.
    """
    path = folder / NAME
    tree = Filtered(Folder.at(folder))
    if path.exists():
        raise UsageError(
            f"{path}: expected none, found one: it is never overwritten. Complete it, then build the folder"
        )
    name = re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")[:60] or "images"
    text = declaration_text(tree, f"my-{name}" if name in names_used else name, _sibling_folders(folder.absolute()))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: expected a folder that can be written, found: {error.strerror}") from None
    return path


def _sibling_folders(folder: Path) -> list[str]:
    """Return the sibling folders that contain images like this one, as class folders do."""
    try:
        beside = sorted(path for path in folder.parent.iterdir() if path.is_dir() and path.name[0] != ".")
        return [path.name for path in beside if _holds_images(path)] if _holds_images(folder) else []
    except OSError:  # siblings may be anything
        return []


def _holds_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) for entry in islice(entries, MAX_SAMPLED))


def declaration_text(tree: Tree, name: str, beside: Sequence[str] = ()) -> str:
    """Return the declaration that a tree suggests, as TOML with comments; raise SourceError without images.

    `beside` are sibling folders with images.
    """
    paths_of.cache_clear()
    survey_folder.cache_clear()
    boxes_of.cache_clear()
    declared_fields, _ = read_declaration(tree, {"name": name})
    declaration, guessed = complete_declaration(tree, declared_fields)
    survey = survey_folder(tree, declaration)
    if not survey.chips:
        if container := find_container(tree, named=False):
            fields = "`unit=…` and `bands=…`"
            raise SourceError(
                f"expected a folder of images, found {container.sentence()}: build it as it is, by {fields}"
            )
        raise SourceError("expected images (GeoTIFF, PNG, JPEG or npy), found none: nothing to declare")
    evidence = evidence_of(tree, declaration, survey)
    lines = [
        f"# {NAME}: what this folder is. `sar-data init` began it. Complete it, then `sar-data build` this folder.",
        "# Lines that begin with ASK wait for your answer: take the # away and say what is true.",
        "",
        *_describe_files(tree, survey, evidence),
        *_ask_folder(tree, survey, beside),
        "",
        f"name = {_toml(declaration.name)}  # builds lie below OUT/NAME",
        '# title = ""',
        '# licence = "your own"',
        '# citation = "none"',
        "",
        *_bands(declaration, evidence),
        "",
        *_labels(tree, declaration, survey, evidence, guessed),
        "",
        *_split(declaration, survey, evidence),
    ]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """Return a value in TOML, which for text, numbers and their lists equals JSON."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return literal(value).encode("utf-8", "replace").decode()  # for names that are not Unicode


def _line(field: str, value: object, comment: str = "") -> str:
    """Return the line of a field; a question where a name on the disk has characters that no field allows."""
    if isinstance(value, tuple):
        value = list(value)
    line = f"{field} = {_toml(value)}"
    try:
        read_declaration(None, tomllib.loads(line))
    except (UsageError, SourceError, tomllib.TOMLDecodeError):
        return f"# ASK {field}: names with characters that no name here can have were found; rename them."
    return f"{line}  # {comment}" if comment else line


def _comment(text: str, mark: str = "# ") -> list[str]:
    """Return a sentence as comment lines; characters that cannot be printed become question marks."""
    words = re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", "?", text).encode("utf-8", "replace").decode().split(" ")
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > LINE - len(mark) and lines[-1]:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{word}"
    return [f"{mark}{line}" for line in lines]


def _describe_files(tree: Tree, survey: Survey, evidence: Evidence) -> Iterator[str]:
    """Yield the facts about the files: counts, sizes, dtypes, bands, values, georeference."""
    sizes = Counter[str]()
    for (bands, height, width, dtype), n in evidence.kinds.items():
        sizes[f"{bands} band{'s' * (bands > 1)} of {height}x{width} pixels, {dtype}"] += n
    kinds = "; ".join(f"{n:,} files with {kind}" for kind, n in sizes.most_common(4))
    yield from _comment(f"Seen: {len(survey.chips):,} samples; {kinds}{'; and others' * (len(sizes) > 4)}.")
    if (sampled := evidence.kinds.total() + evidence.unreadable) < len(survey.chips):
        yield f"# Seen: what follows is of {sampled:,} of them, spread over all."
    if evidence.unreadable:
        yield from _comment(f"Seen: {evidence.unreadable:,} files that cannot be read; a build names them.")
    if evidence.values:
        yield from _comment(f"Seen: {evidence.values.sentence()}.")
    places = few(
        [f"{n:,} in {crs}" if crs != "none" else f"{n:,} without one" for crs, n in evidence.crs.most_common()]
    )
    yield from _comment(f"Seen: georeference: {places}.")
    if evidence.touching is not None:
        yield from _comment(f"Seen: {100 * evidence.touching:.0f} % of the images touch another one.")
    suffixes = Counter(path.rpartition(".")[2].lower() for path in paths_of(tree) if not is_image(path) and "." in path)
    if suffixes:
        yield from _comment(f"Seen: other files: {few([f'{n:,} .{ending}' for ending, n in suffixes.most_common()])}.")


def _ask_folder(tree: Tree, survey: Survey, beside: Sequence[str]) -> Iterator[str]:
    """Yield questions where the folder may be the parent of several sets, or one class folder."""
    kinds: dict[str, set[str]] = {}
    for unit in spaced_sample(list(survey.chips), MAX_SAMPLED):
        with suppress(SarDataError):
            (bands, _, _), dtype = any_format.header(tree, unit)
            kinds.setdefault(f"{bands} band{'s' * (bands > 1)} of {dtype}", set()).add(unit.partition("/")[0])
    if len(kinds) > 1:
        several = "; ".join(f"{kind} in {few(sorted(where))}" for kind, where in kinds.items())
        yield from _comment(f"ASK which folder is the set, for images differ: {several}. Init that one.")
    if len(beside) > 1:
        yield from _comment(
            f"ASK whether the folder above is the set, and its folders are classes: images lie in {few(beside)}. "
            "If so, remove this file and init that one."
        )


def _bands(declaration: Declaration, evidence: Evidence) -> Iterator[str]:
    """Yield images, bands, unit and calibration: known ones from names and descriptions, the others as questions."""
    for field in ("images", "band_suffixes", "frame_suffixes", "frame_folders"):
        if value := getattr(declaration, field):
            yield _line(field, value)
    count = len(declaration.band_suffixes) or next(iter(evidence.kinds), (1,))[0]
    names = declaration.bands or evidence.metadata.names
    if names and len(names) == len(set(names)) == count:
        source = "the ends of the files' names" if declaration.bands else "the descriptions in the files"
        yield _line("bands", names, f"by {source}")
        if all(name.upper() in POLARIZATIONS for name in names):
            yield f"polarizations = {_toml([name.upper() for name in names])}  # as the bands are called"
    else:
        example = [*POLARIZATIONS[:count], *(f"band{i}" for i in range(5, count + 1))][:count]
        yield from _comment(
            f"ASK the names of the {count} bands of a file, in the file's order; without them: 1, 2, …"
            if count > 1
            else "ASK the name of the band; without it: 1"
        )
        yield f"# bands = {_toml(example)}"
        yield f"# polarizations = {_toml(example)}  # where the names of the bands do not say them"
    values = evidence.values
    if values and values.dtype == "uint8":
        yield 'unit = "8-bit"  # pixels of 8 bits: a stretched picture, unless you know better'
    else:
        yield f"# ASK the unit: {UNITS}."
        yield '# unit = ""'
    yield from _scaling(evidence)
    yield "# ASK the calibration: sigma0, gamma0, beta0, DN, stretched or unknown."
    yield '# calibration = "unknown"'
    if values and values.zeros > MIN_ZEROS:
        yield from _comment(f"{100 * values.zeros:.1f} % of the values are exactly 0: does 0 mean 'no data'?")
        yield "# nodata = 0"
    yield (
        f"pixel_size_m = {evidence.pixel_size:g}  # by the georeference"
        if evidence.pixel_size and 0 < evidence.pixel_size < 1e6
        else "# pixel_size_m = 10"
    )


def _scaling(evidence: Evidence) -> Iterator[str]:
    """Yield the scale and offset in the files' metadata as questions."""
    if evidence.metadata.scales and evidence.metadata.scaling is None:
        yield "# Seen: some of the files note a scale, or another one: write all of them with one."
    if evidence.metadata.scaling is None:
        return
    scale, offset = evidence.metadata.scaling
    shown = f": {evidence.scaled.sentence()}" if evidence.scaled else ""
    yield from _comment(
        "ASK whether the scale that the files note leads to that unit: a build applies it only where it is declared. "
        f"Values are the numbers in the files, times scale, plus offset{shown}."
    )
    yield f"# scale = {_toml(scale)}"
    if any(offset):
        yield f"# offset = {_toml(offset)}"


def _labels(
    tree: Tree, declaration: Declaration, survey: Survey, evidence: Evidence, guessed: list[str]
) -> Iterator[str]:
    """Yield the task and its labels, with the classes in order."""
    yield from _comment(f"Guessed: {'; '.join(guessed)}.")
    for sentence in (*survey.columns(), *survey.left()):
        yield from _comment(f"{sentence[0].upper()}{sentence[1:]}.")
    if is_open(declaration):
        yield "# ASK the task: classification, multilabel, segmentation, change, detection or none."
        yield f"# task = {_toml(declaration.task or 'segmentation')}"
        return
    yield f"task = {_toml(declaration.task)}  # classification, multilabel, segmentation, change, detection or none"
    for field in ("labels", "table", "label_columns", "masks", "mask_suffix", "boxes"):
        if value := getattr(declaration, field):
            yield _line(field, value)
    if declaration.task in MASKED:
        yield from _masks(survey, evidence)
        return
    try:
        classes, sentences = classes_of(tree, declaration, survey)
    except SourceError as error:
        yield from _comment(f"ASK {error}")
        return
    if classes:
        yield from _comment(f"Seen: {'; '.join(sentences)}. Their order is that of the numbers in a build.")
        yield _line("classes", classes)


def _masks(survey: Survey, evidence: Evidence) -> Iterator[str]:
    """Yield the values of masks, and the question for their names."""
    total = sum(evidence.mask_values.values())
    shares = few([f"{value} in {100 * n / total:.1f} %" for value, n in sorted(evidence.mask_values.items())], 12)
    yield from _comment(
        f"Seen: {len(survey.masks):,} masks of {len(survey.chips):,} samples; values {shares} of the pixels."
    )
    values = class_values(evidence.mask_values)
    if not values:
        yield "# ASK the value of each class in the masks; 255 is nothing to learn."
        yield "# mask_values = [0, 1]"
        return
    yield f"mask_values = {_toml(values)}  # one a class; other values than these and 255 are refused"
    yield "# ASK the names of the classes, in that order; without them they are called by their values."
    yield f"# classes = {_toml([f'class {value}' for value in values])}"


def _split(declaration: Declaration, survey: Survey, evidence: Evidence) -> Iterator[str]:
    """Yield the split that the data declare, or a random one with its problems."""
    if declaration.split:
        yield f"split = {_toml(declaration.split)}  # as the data themselves say"
        return
    if evidence.touching:
        yield from _comment(
            f"{100 * evidence.touching:.0f} % of the images touch another one: a random split puts neighbours into "
            f"train and test, and the build says how many. {_blocks(evidence)}"
        )
    policy = "random" if declaration.task == "none" else "stratified"
    yield f"split = {_toml(policy)}  # or random, group (group_column, group), blocks, folders, lists, column"


def _blocks(evidence: Evidence) -> str:
    """Return advice on blocks: the largest that leave samples of every class in train, val and test."""
    better = find_better_split("blocks", {"blocks": Blocks()}, Blocks(), evidence.placed, seed=0)
    if better is None or better[1].empty:
        return "They are too few, or too near to each other, for blocks that leave some in each of train, val and test."
    split, gaps = better
    coverage = " Every class is in each of train, val and test." if gaps.size == (0, 0) else " Some part lacks a class."
    return f"split = {_toml(split)} keeps blocks of neighbours together.{coverage}"
