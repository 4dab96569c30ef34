"""Where weights come from: a path, the Hugging Face hub, torchgeo's names, or timm's tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import timm
import torch

from sar_data.errors import FetchError, MissingExtra, UsageError
from sar_data.train.families import UNKNOWN
from sar_data.train.networks import local
from sar_data.train.weights.known import OPTICAL, Known, known

_RGB = ("B4", "B3", "B2")  # Sentinel-2's, as torchgeo names them


@dataclass(frozen=True)
class WeightsFile:
    """A file on this disk and what is known of its weights."""

    path: Path
    known: Known | None


def find(spec: str) -> WeightsFile:
    """Return the file that a specification names; download it where it is not on this disk yet.

    Raises UsageError for an invalid specification, MissingExtra where a library is missing, and FetchError where a
    server did not answer; a file that was downloaded before needs no network.
    """
    if path := local(spec):
        return WeightsFile(path, known(path.name))
    kind, _, rest = spec.partition(":")
    return {"hf": _hub, "torchgeo": _torchgeo, "timm": _timm}[kind](rest)


def _hub(rest: str) -> WeightsFile:
    place, at, revision = rest.rpartition("@")
    names = place.split("/", 2)
    if not at or not revision or len(names) != 3:
        raise UsageError(
            f"`weights=hf:{rest}`: expected hf:OWNER/REPO/FILE@REVISION, found no revision or no file: pin it by the "
            "commit that the repository's history shows, so that the run can be repeated"
        )
    path = _download("/".join(names[:2]), names[2], revision)
    return WeightsFile(path, known(Path(names[2]).name))


def _download(repository: str, file: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        raise MissingExtra("huggingface_hub is not installed: pip install huggingface_hub, or give a file") from None
    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except HFValidationError as error:
        raise UsageError(f"`weights=…`: expected OWNER/REPO on the hub, found {repository}: {error}") from None
    # The classes of errors differ between releases of the hub's client.
    except Exception as error:
        raise FetchError(
            f"{repository}/{file}: expected a file of the hub at revision {revision or 'main'}, found "
            f"{type(error).__name__}: {error}: download the file where there is a network, and give its path"
        ) from error


def _torchgeo(name: str) -> WeightsFile:
    try:
        from torchgeo.models import get_weight  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise MissingExtra(
            "torchgeo is not installed: pip install torchgeo, or download the file and give its path"
        ) from None
    try:
        weight = get_weight(name)
    except (ValueError, KeyError, AttributeError) as error:
        raise UsageError(
            f"`weights=torchgeo:{name}`: expected a name such as ViTSmall16_Weights.SENTINEL1_GRD_MAE, found {error}: "
            "torchgeo.models.list_models and get_model_weights list them"
        ) from None
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(str(weight.url)).name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # torchgeo's own loader would unpickle the file.
            torch.hub.download_url_to_file(weight.url, str(path), progress=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise FetchError(
                f"{weight.url}: cannot be fetched: {error}: download the file where there is a network, and give its "
                "path"
            ) from error
    row = known(name)
    bands = tuple(map(str, weight.meta.get("bands", ())))
    if row is None:
        row = Known(name, "torchgeo", OPTICAL if bands in ((), _RGB) and weight.meta.get("in_chans") == 3 else bands)
    return WeightsFile(path, row)


def _timm(tag: str) -> WeightsFile:
    try:
        config = timm.get_pretrained_cfg(tag, allow_unregistered=False)
    except RuntimeError:
        config = None
    if config is None or not config.hf_hub_id:
        raise UsageError(
            f"`weights=timm:{tag}`: expected a tag such as resnet50.a1_in1k, found "
            f"{'one without a file on the hub' if config else 'no such model or tag'}: "
            "timm.list_pretrained() lists them"
        )
    path = _download(config.hf_hub_id, config.hf_hub_filename or "model.safetensors", None)
    channels = OPTICAL if config.input_size[0] == 3 else ()
    return WeightsFile(path, Known(tag, f"timm:{tag}", channels, licence=config.license or UNKNOWN))
