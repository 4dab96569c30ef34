"""The command `sar-data train`, as it is typed, rightly and wrongly."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm

from sar_data import catalog
from sar_data.cli import main
from sar_data.errors import UsageError
from sar_data.normalization.presets import presets
from sar_data.split.stratified import SklearnStratified
from sar_data.train import comparison
from sar_data.train.networks import check_model
from sar_data.train.preset import find, names, resolved
from sar_data.train.settings import JOBS

pytestmark = pytest.mark.usefixtures("unrendered")

TINY = (
    "--model",
    "test_vit",
    "--image-size",
    "32",
    "--batch-size",
    "16",
    "--epochs",
    "1",
    "--augment",
    "none",
    "--device",
    "cpu",
    "--threads",
    "1",
)


def typed(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["train", *words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize("job", JOBS)
def test_every_option_of_a_job_is_a_field_of_its_settings(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(job, "--help", capsys=capsys)
    assert code == 0
    for field in JOBS[job].model_fields:
        assert f"--{field.replace('_', '-')}" in out


def test_help_names_the_choices_of_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = typed("finetune", "--help", capsys=capsys)
    for choices in ("none|bf16|fp16", "sgd|adamw", "linear|bn-linear", "auto|val|test|last"):
        assert choices in out


def test_a_wrong_job_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = typed("finetun", "build", capsys=capsys)
    assert code == 2
    assert "unknown job 'finetun'. Did you mean 'finetune'?" in err


@pytest.mark.parametrize("option", ["--normalize", "--normalise"])
def test_training_takes_both_spellings_of_normalize(
    option: str, classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = typed("finetune", classes, "--out", str(tmp_path / "run"), option, "minmax", *TINY, capsys=capsys)
    assert code == 0, err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["normalize"] == "minmax"


def test_a_mix_that_is_none_is_answered_in_a_sentence(
    classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("finetune", classes, classes, "--out", str(tmp_path / "run"), *TINY)
    for mix, said in (
        ("1,x", "--mix 1,x: expected a number for each build, such as 1,3"),
        ("1", "mix: expected 2 shares, one a build, found 1"),
        ("1,0", "--mix 1,0: expected a share above 0 of each build"),
        ("1,3", "expected other samples than those of"),
    ):
        code, _, err = typed(*given, "--mix", mix, capsys=capsys)
        assert code == 2
        assert said in err


def test_a_wrong_build_is_answered_with_those_below_it_or_near_it(
    classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, given = Path(classes), ("--out", str(tmp_path / "run"), *TINY)
    for wrong, said in (
        (build.parent, f"builds below it are {build}"),
        (build / "manifest.json", "found a file"),
        (build.with_name(build.name + "0"), f"Did you mean {build}?"),
    ):
        code, _, err = typed("finetune", str(wrong), *given, capsys=capsys)
        assert code == 2
        assert said in err
    code, _, err = typed("finetune", "memory://nowhere", *given, capsys=capsys)
    assert "memory://nowhere" in err


def test_a_test_that_was_chosen_on_is_printed_so(
    classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--out", str(tmp_path / "run"), "--select", "test", *TINY)
    _, out, _ = typed("finetune", classes, *given, capsys=capsys)
    assert "test (chosen on, as published)  oa 0." in out


def test_build_and_train_are_two_commands(classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = typed("finetune", classes, "--out", str(tmp_path / "run"), *TINY, capsys=capsys)
    assert code == 0, err
    assert out.splitlines()[-1].startswith("test  oa 0.")
    (epoch,) = [line for line in err.splitlines() if line.startswith("epoch 1 of 1: loss ")]
    assert epoch.endswith("% waiting")
    assert len(epoch) <= 80
    code, out, _ = typed("compare", str(tmp_path / "run"), capsys=capsys)
    assert code == 0
    assert "test_vit" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "resnet19"), "unknown model 'resnet19'. Did you mean"),
        (("--augment", "flip"), "Did you mean 'flips'? There are 12, such as azimuth-flip, "),
        (("--loss", "dice"), "expected one for a multiclass task"),
        (("--select", "best"), "unknown select 'best'"),
        (("--preset", "fgmae-eurosat"), "Did you mean 'fgmae_eurosat"),
        (("--preset", "dfc2020-upernet"), "is for `segment`, not for `finetune`"),
        (("--epochs", "0"), "epochs: Input should be greater than or equal to 1, found 0"),
        (("--batch-size", "500"), "or less"),
        (("--bands", "VV,HH"), "unknown band 'HH'"),
        (("--pooling", "max"), "unknown pooling of test_vit 'max'"),
        (("--device", "cuda:9"), "--device cpu"),
        (("--amp", "fp16"), "expected a GPU"),
        (("--sync-bn",), "expected GPUs"),
        (("--weights", "nowhere.pth"), "nowhere.pth"),
        (("--device", "banana"), "expected cpu, cuda or cuda:N"),
        (("--image-size", "0"), "image_size: Input should be greater than or equal to 1"),
        (("--lr", "inf"), "lr: Input should be a finite number"),
        (("--warmup", "5"), "finetune: warmup 5: expected at most the 1 epochs"),
        (("--min-lr", "5"), "min_lr 5: expected at most lr, 0.001"),
        (("--freeze", "--drop-path", "0.1"), "leave drop_path and layer_decay out"),
        (("--stem", "rgb"), "stem rgb: is of --weights"),
        (("--head", "bn-linear", "--batch-size", "1"), "batch_size 1: a norm of this network"),
        (("--model", "test_resnet", "--batch-size", "1"), "no variance: take a larger --batch-size"),
    ],
)
def test_what_is_typed_wrongly_is_answered_in_one_line(
    words: tuple[str, ...], said: str, classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = typed("finetune", classes, "--out", str(tmp_path / "run"), *TINY, *words, capsys=capsys)
    assert code in (1, 2)
    assert said.replace("_", "-") in err.replace("_", "-"), err
    assert "Traceback" not in err
    assert not out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lr", "3"), "unknown option"),
        (("--weight-decay", "1"), "unknown option"),
        (("--accumulate", "4"), "unknown option"),
        (("--sync-bn",), "unknown option"),
        (("--lrs", "0.1,-1"), "lrs.1: Input should be greater than 0"),
        (("--knn", "0"), "knn.0: Input should be greater than 0"),
        (("--logistic", "0"), "logistic.0: Input should be greater than 0"),
        (("--lrs", "0.1,1,0.10"), "lrs 0.1,1.0,0.1: expected each once"),
        (("--heads", "linear,linear"), "heads linear,linear: expected each once"),
    ],
)
def test_a_probe_takes_no_option_that_it_would_not_heed(
    words: tuple[str, ...], said: str, classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = typed("probe", classes, "--out", str(tmp_path / "run"), *TINY, *words, capsys=capsys)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("place", ["file", "file/run", "/proc/run"])
def test_an_out_that_cannot_be_written_is_told(
    place: str, classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    code, _, err = typed("finetune", classes, "--out", str(tmp_path / place), *TINY, capsys=capsys)
    assert code == 1
    assert "Choose another --out" in err


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"job = 3",
        b"job = 'finetune'\nabout = ''\nsettings = 3",
        b"job = 'finetune'\nsettings = 3",
        b"job = 'finetune'\nabout = ''\n[settings]\n[build]\nseed = '42'",
    ],
)
def test_a_preset_file_that_is_none_is_told(
    text: bytes, classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.toml").write_bytes(text)
    given = ("--out", str(tmp_path / "run"), "--preset", str(tmp_path / "own.toml"))
    code, _, err = typed("finetune", classes, *given, capsys=capsys)
    assert code == 2
    assert "own" in err
    assert "expected" in err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "found a folder, a pipe or a device"),
        ("a = " + "[" * 100_000, "too many values within values"),
        (".".join("a" * 100_000) + " = 1", "a key of too many parts"),
    ],
)
def test_a_preset_file_that_has_no_end_is_refused(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is None:
        os.mkfifo(tmp_path / "a.toml")
    else:
        (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UsageError, match=reason):
        find(str(tmp_path / "a.toml"))


def test_a_wrong_field_of_a_presets_build_is_answered_with_the_right_one(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("job = 'finetune'\nabout = ''\n[settings]\n[build]\nsplits = 'official'")
    with pytest.raises(UsageError, match=r"preset own 'splits'\. Did you mean 'split'"):
        find(str(own))


def test_published_weights_are_listed_with_what_their_licences_forbid(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = typed("weights", capsys=capsys)
    rows = {row.split()[0]: row for row in out.splitlines()}
    assert list(rows)[-1] == "copernicus-fm"  # what does not load comes last
    assert "VV VH in dB; licence CC-BY-4.0" in rows["fgmae"]
    assert "CC-BY-NC-4.0 (no commercial use)" in rows["sarmae"]
    assert "(no military and extractive use); does not load" in rows["olmoearth"]
    _, out, _ = typed("weights", "--json", capsys=capsys)
    for row in json.loads(out):
        assert row["licence"]
        assert row["source"]
        assert row["why"] if not row["loads"] else row["models"] and row["bands"] and row["unit"]
        for model in row["models"]:
            check_model(model)
        assert set(row["normalize"]) <= {*presets(), "satlas-uint8"}
    _, out, _ = typed("weights", "mtp", capsys=capsys)
    assert "steps               Follow the links to Baidu or OneDrive" in out
    code, _, err = typed("weights", "teramind", capsys=capsys)
    assert (code, "Did you mean 'terramind'?" in err) == (2, True)


def test_presets_are_listed_by_name_job_and_title(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = typed("presets", capsys=capsys)
    rows = [line.split(maxsplit=2) for line in out.splitlines()]
    assert [(name, job) for name, job, _ in rows] == [(name, find(name).job) for name in names()]
    assert all(len(title) < 90 and "(" not in title for _, _, title in rows)


def test_a_task_of_another_kind_names_its_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.mini import invented

    build = invented.sealed(invented.pipeline("segmentation"), invented.archive(tmp_path / "raw", 40), tmp_path / "b")
    code, _, err = typed("finetune", str(build.path), "--out", str(tmp_path / "run"), *TINY, capsys=capsys)
    assert code == 2
    assert "there is `segment`" in err


@pytest.mark.parametrize("name", names())
def test_every_preset_is_whole_and_says_what_it_repeats(name: str) -> None:
    preset = find(name)
    assert resolved(preset.job, preset, {}).model_dump()
    assert len(preset.about) > 200
    chosen_on_test = preset.settings.get("select") == "test"
    assert ("select=test, as published" in preset.about) is chosen_on_test


@pytest.mark.parametrize("name", names())
def test_the_build_that_a_preset_repeats_can_be_built(name: str) -> None:
    build = find(name).build
    pipelines = [catalog.pipeline(dataset, build.variant) for dataset in build.dataset or ()]
    assert pipelines
    assert build.split is None or any(build.split in pipeline.all_splits for pipeline in pipelines)


@pytest.mark.parametrize("name", names())
def test_a_preset_declares_its_normalization_and_the_bands_that_its_datasets_have(name: str) -> None:
    preset = find(name)
    pipelines = [catalog.pipeline(dataset, preset.build.variant) for dataset in preset.build.dataset or ()]
    bands = preset.settings.get("bands", [])
    published = presets()[preset.settings["normalize"]]
    for pipeline in pipelines:
        units = {band.name: band.unit for band in pipeline.spec.bands}
        assert set(bands) <= set(units)
        assert published.unit is None or {units[band] for band in bands} == {published.unit}
    assert set(bands) <= set(published.bands) or not published.bands
    assert bands or len(pipelines) > 1, "one dataset has bands of its own"


def test_other_bands_and_another_normalization_than_the_presets_are_named() -> None:
    preset = find("fgmae-ben-lp")
    manifest = SimpleNamespace(
        dataset="bigearthnet-s1", variant="", split_policy=SimpleNamespace(policy="official", seed=0)
    )

    def told(**given: Any) -> list[str]:
        settings = resolved("finetune", preset, given)
        return preset.departures(manifest, settings, settings.bands or ())  # type: ignore[arg-type]

    assert told() == []
    assert told(bands=("VH",), normalize="zscore") == [
        "bands: the preset repeats VV, VH, this run has VH",
        "normalize: the preset repeats fgmae-uint8, this run has zscore",
    ]


@pytest.mark.parametrize("name", [name for name in names() if name.startswith("copernicus-bench-")])
def test_copernicus_benchs_presets_are_for_its_copies_and_give_the_two_commands(name: str) -> None:
    preset = find(name)
    (dataset,) = preset.build.dataset or ()
    assert (preset.build.variant, preset.build.split) == ("copernicus-bench", "copernicus-bench")
    assert next(iter(catalog.pipeline(dataset, preset.build.variant).splits)) == preset.build.split
    for verb in ("fetch", "build"):
        assert f"  sar-data {verb} {dataset} --variant copernicus-bench " in preset.about


@pytest.mark.parametrize("preset", ["fgmae-eurosat-lp", "fgmae-eurosat-ft"])
def test_fgmaes_presets_repeat_its_stratified_draw(preset: str) -> None:
    build = find(preset).build
    assert (build.dataset, build.split, build.seed) == (["eurosat-sar"], "fgmae", 42)
    assert isinstance(catalog.pipeline("eurosat-sar").splits["fgmae"], SklearnStratified)


def test_a_build_that_differs_from_the_presets_is_named_in_log_and_metrics(
    classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('job = "finetune"\nabout = "mine"\n[build]\ndataset = ["eurosat-sar"]\nseed = 0\n[settings]\n')
    _, out, err = typed("finetune", classes, "--preset", str(own), "--out", str(tmp_path / "run"), *TINY, capsys=capsys)
    sentence = "dataset: the preset repeats eurosat-sar, this build has invented"
    assert f"preset own: {sentence}" in out + err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["departures"] == [sentence]
    assert f"run: {sentence}" in comparison.markdown(comparison.opened([tmp_path / "run"]))


def test_what_is_typed_goes_before_the_preset() -> None:
    settings = resolved("finetune", find("fgmae-eurosat-lp"), {"epochs": 3})
    assert (settings.epochs, settings.batch_size, settings.select) == (3, 256, "test")


def test_a_preset_of_ones_own_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('job = "finetune"\nabout = "mine"\n[settings]\nepochs = 7\n')
    assert resolved("finetune", find(str(path)), {}).epochs == 7


def test_help_waits_for_no_heavy_package() -> None:
    script = (
        "import sys\nfrom sar_data.cli import main\ntry:\n    main(['train', 'finetune', '--help'])\n"
        "except SystemExit:\n    pass\nprint('LOADED', *sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "LOADED"


def test_a_port_in_use_is_answered(
    classes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
            monkeypatch.setenv(name, value)
        code, _, err = typed("finetune", classes, "--out", str(tmp_path / "run"), *TINY, capsys=capsys)
    assert code == 2
    assert f"127.0.0.1:{port}: expected a port" in err
    assert "Traceback" not in err


EARLY = [
    (("--model", "nonsense"), "unknown model 'nonsense'. Did you mean"),
    (("--model", "resnet18", "--bands", "VV,HH"), "unknown band 'HH'"),
    (("--model", "resnet18", "--crop", "999"), "--crop 999: all images of"),
    (("--model", "resnet18", "--normalize", "zscor"), "Did you mean 'zscore'?"),
    (("--model", "resnet18", "--loss", "fokal"), "unknown loss 'fokal'. Did you mean 'focal'?"),
    (("--model", "resnet18", "--weights", "none.pt"), "--weights none.pt: expected PATH, hf:"),
    (("--preset", "nope"), "unknown preset 'nope'"),
    (("--model", "vit_small_patch14_reg4_dinov2", "--epochs", "0"), "epochs: Input should be"),
]
SCRIPT = """
import json, sys
from sar_data.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit:
        print("".join({"torch", "timm"} & set(sys.modules)) + "-", file=sys.stderr)
"""


def test_what_names_and_the_manifest_tell_is_answered_before_torch_is_imported(classes: str, tmp_path: Path) -> None:
    lines = [["train", "finetune", classes, "--out", str(tmp_path / "run"), *words] for words, _ in EARLY]
    done = subprocess.run([sys.executable, "-c", SCRIPT, json.dumps(lines)], capture_output=True, text=True)
    answers = [line for line in done.stderr.splitlines() if line.startswith("sar-data: ")]
    assert len(answers) == len(EARLY), done.stderr
    assert all(said in answer for (_, said), answer in zip(EARLY, answers, strict=True)), answers
    assert done.stderr.splitlines().count("-") == len(EARLY), done.stderr


def test_the_files_of_timm_tell_each_of_its_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["resnet18.a1_in1k", "tv_resnet34", *timm.list_models()[::40]]
    monkeypatch.delitem(sys.modules, "timm")
    for name in names:
        check_model(name)
    with pytest.raises(UsageError, match=r"unknown model 'resnet81'.*Did you mean 'resnet18'"):
        check_model("resnet81")
