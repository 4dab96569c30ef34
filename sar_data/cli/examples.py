"""Examples below each command's help: lines that work, in the order of a first session."""

from __future__ import annotations

import click

from sar_data.cli.exits import OWN

EXAMPLES: dict[str, tuple[str, ...]] = {
    "datasets": ("sar-data datasets", "sar-data datasets --task detection", "sar-data datasets --band VH --unit dB"),
    "info": ("sar-data info NAME", "sar-data info NAME --tree"),
    "fetch": ("sar-data fetch NAME --to raw", "sar-data fetch NAME --to raw --only '*.csv'"),
    "synth": ("sar-data synth NAME --out raw --count 600", "sar-data synth NAME --variant VARIANT --out raw"),
    "init": ("sar-data init chips", "sar-data init --code kiel"),
    "scenes": ("sar-data scenes NAME --source raw --out scenes.csv",),
    "scenes find": ("sar-data scenes find NAME --source raw --out scenes.csv",),
    "scenes download": ("sar-data scenes download scenes.csv --to products",),
    "build": (
        "sar-data build NAME --source raw --out builds",
        "sar-data build NAME --source archive.zip --out builds --format lmdb",
        "sar-data build NAME --source raw --out builds --split blocks:size=15",
        "sar-data build NAME --source raw --out builds --plan --split group,blocks",
        "sar-data build --from zarr-3f --source raw --out again",
        "sar-data build chips --out builds --crop 128 --normalize zscore",
    ),
    "convert": ("sar-data convert latest --format lmdb --dtype int16", "sar-data convert zarr-3f --normalize zscore"),
    "builds": ("sar-data builds", "sar-data builds /data/builds --clean"),
    "export": ("sar-data export coco latest --out coco", "sar-data export hf latest --out hub"),
    "export coco": ("sar-data export coco latest --out coco",),
    "export yolo": ("sar-data export yolo latest --out yolo",),
    "export fgmae-lmdb": ("sar-data export fgmae-lmdb lmdb-3f --out lmdb",),
    "export seco-lmdb": ("sar-data export seco-lmdb lmdb-3f --out lmdb",),
    "export configilm": ("sar-data export configilm latest --out configilm",),
    "export npy": ("sar-data export npy latest --out arrays",),
    "export hf": ("sar-data export hf latest --out hub",),
    "export geotiff": ("sar-data export geotiff latest --out chips",),
    "export croissant": ("sar-data export croissant latest --out cards",),
    "verify": (
        "sar-data verify latest",
        "sar-data verify zarr-3f --full",
        "sar-data verify zarr-3f --sample 5%",
        "sar-data verify zarr-3f --repair --source raw",
    ),
    "diff": ("sar-data diff zarr-3f lmdb-9c", "sar-data diff zarr-3f latest --full --json"),
    "stats": (
        "sar-data stats latest --split train --plot histograms.png",
        "sar-data stats latest --by season",
        "sar-data stats latest --against ssl4eo",
    ),
    "leakage": ("sar-data leakage latest", "sar-data leakage zarr-3f --fail-above duplicate=0,touching=0.1"),
    "show": ("sar-data show latest --out sheet.png --split test",),
    "report": ("sar-data report latest", "sar-data report latest --out page.html --language zh"),
    "cite": ("sar-data cite latest", "sar-data cite runs/resnet18 --latex"),
    "train": ("sar-data train finetune latest --epochs 10 --out runs/resnet18",),
    "train probe": ("sar-data train probe latest --weights encoder.pth --out runs/probe",),
    "train finetune": (
        "sar-data train finetune latest --epochs 10 --out runs/resnet18",
        "torchrun --nproc-per-node 2 -m sar_data train finetune latest --out runs/two",
    ),
    "train segment": ("sar-data train segment latest --head upernet --crop 128 --out runs/upernet",),
    "train change": ("sar-data train change latest --fusion diff --head upernet --out runs/floods",),
    "train detect": ("sar-data train detect latest --pad 668 --out runs/fcos",),
    "train pretrain": ("sar-data train pretrain latest --preset fgmae-ssl4eo --out runs/fgmae",),
    "train benchmark": ("sar-data train benchmark SUITE --builds builds --out bench",),
    "train evaluate": ("sar-data train evaluate resnet18 latest --split test",),
    "train predict": ("sar-data train predict upernet scene.tif --out map",),
    "train explain": ("sar-data train explain resnet18 latest --count 4 --out explained",),
    "train embed": ("sar-data train embed resnet18 latest --out features.parquet",),
    "train export": ("sar-data train export resnet18 --to onnx --out model",),
    "train presets": ("sar-data train presets",),
    "train weights": ("sar-data train weights", "sar-data train weights terramind"),
    "train report": ("sar-data train report resnet18", "sar-data train report resnet18 probe --out runs.html"),
    "train compare": ("sar-data train compare resnet18 probe", "sar-data train compare resnet18 probe --latex"),
    "flow": ("sar-data flow run verify -p path=/data/builds/BUILD -p full=true --watch",),
    "flow run": ("sar-data flow run verify -p path=/data/builds/BUILD -p full=true --watch",),
    "doctor": ("sar-data doctor", "sar-data doctor --out /data/builds --json"),
    "bench": ("sar-data bench latest --batch-size 256 --threads 4",),
}
"""Command → lines."""


def with_examples(command: click.Command, ctx: click.Context, name: str) -> click.Command:
    """Add the examples and the exit codes of the command `name` of a context to its help."""
    words = [name]
    while ctx.parent is not None and ctx.info_name is not None:  # the last one is the program
        words.insert(0, ctx.info_name)
        ctx = ctx.parent
    name = " ".join(words)
    lines = [f"  {line}" for line in EXAMPLES.get(name, ())]
    codes = [f"  {code}  {meaning}" for code, meaning in OWN.get(name, {}).items()]
    parts = {"Examples": lines, "Exit codes": codes}
    texts = ["\n".join(["\b", f"{title}:", *part]) for title, part in parts.items() if part]  # \b: lines stay so
    command.epilog = "\n\n".join(texts) or command.epilog
    return command
