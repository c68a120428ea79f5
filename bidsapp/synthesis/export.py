"""A bundle's networks as one file for other software: ONNX or TorchScript, and JSON that says what goes in.

What is exported predicts what the bundle predicts for people whom it has not seen: the mean of all folds, and
where the plan says so of the mirrored input, in float32 and for input of any size.
"""

from __future__ import annotations

import json
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's users expect

from bidsapp.errors import CannotCreateError
from bidsapp.records import CT, region
from bidsapp.synthesis.inference import fold_normalization
from bidsapp.synthesis.modes import axis_order, margin
from bidsapp.synthesis.pairs import AIR, LEAST_DEPTH, MARGIN_MM
from bidsapp.synthesis.signature import AXES
from bidsapp.synthesis.slices import beyond, edges

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bidsapp.records import Plan
    from bidsapp.synthesis.bundle import Bundle

FILES = {"onnx": "model.onnx", "torchscript": "model.pt"}
ABOUT_FILE = "model.json"
# The example that is traced, voxels; edges differ and are no whole strides, so that none is taken for constant.
EXAMPLE = (17, 18, 19)
FEATURES = {
    "mask": "1 in {region}",
    "depth": "distance to the surface of {region}, in units of 20 mm",
    "lateral": "left-right distance from the centre of {region}, in standard deviations",
    "anterior": "back-front coordinate from the centre of {region}, in standard deviations",
    "superior": "down-up coordinate from the centre of {region}, in standard deviations",
}
NORMALIZED = f"normalized, plus {AIR:g}"
# Of `pairs._above_air`, where air is looked at, too.
ABOVE_AIR = f"{AIR:g} * (1 - normalized / zero) if zero < {-LEAST_DEPTH:g}, else {AIR:g} * (normalized - zero)"
ZERO = (
    "the normalized value of no signal, of each image its own: what its intensity scale (IntensityScale in the "
    "sidecar of the normalized image) makes of an intensity of 0; by offset and scale, -Offset / Scale"
)
OUTPUTS = {
    "image": "the predicted target in normalized units; meaningful in {region}",
    "log_scale": "logarithm of the scale of Laplace's distribution of its error, before any calibration",
}


class Ensemble(nn.Module):
    """The mean of several networks, their normalization folded into the convolutions.

    Parameters
    ----------
    networks : sequence of torch.nn.Module
        Trained on `plan`.
    plan : Plan
        Says whether the prediction is averaged with the mirrored input's.
    """

    def __init__(self, networks: Sequence[nn.Module], plan: Plan) -> None:
        super().__init__()
        self.networks = nn.ModuleList(map(fold_normalization, networks))
        self.mirrored = plan.flip_averaging
        self.left_right = 2 + axis_order(plan).index(0)
        self.margin = margin(plan)
        self.strides = edges(int(networks[0].stride), plan.slices is not None)  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(1, C, X, Y, Z)`` to image and logarithm of the scale.

        Of a mixture of networks the variance is the mean of their variances and that of their images.
        """
        x, y, z = inputs.shape[2:]
        # Before it is mirrored, so that the mirror image has its margin where `predict` has it.
        inputs = F.pad(inputs, beyond((x, y, z), self.strides))
        if self.margin:
            inputs = F.pad(inputs, (self.margin, self.margin))
        outputs = []
        for network in self.networks:
            out = network(inputs)
            if self.mirrored:
                out = (out + network(inputs.flip(self.left_right)).flip(self.left_right)) / 2
            outputs.append(out)
        both = torch.cat(outputs)[..., :x, :y, :z]
        image = both[:, :1].mean(0, keepdim=True)
        variance = (2 * both[:, 1:]).exp().mean(0, keepdim=True) + (both[:, :1] - image).square().mean(0, True) / 2
        return image, variance.log() / 2


def export_bundle(bundle: Bundle, folder: Path, form: str) -> Path:
    """Write a bundle's networks as one file, and beside it what goes into it and comes out.

    Parameters
    ----------
    bundle : Bundle
        Whose networks.
    folder : Path
        Where to; files of an earlier export there are replaced.
    form : str
        ``onnx`` or ``torchscript``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CannotCreateError
        The folder cannot be written.
    """
    ensemble = Ensemble([bundle.network(fold) for fold in range(bundle.folds)], bundle.plan).eval()
    goal = folder / FILES[form]
    temporary = goal.with_name(f".{goal.name}.partial")
    about = json.dumps(_about(bundle, form, ensemble), indent=2, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        with torch.no_grad(), _silence():
            (_write_onnx if form == "onnx" else _write_torchscript)(ensemble, _example(bundle.plan), temporary)
        (folder / ABOUT_FILE).unlink(missing_ok=True)  # a link is replaced, not written through
        (folder / ABOUT_FILE).write_text(about + "\n", encoding="utf-8")
        temporary.rename(goal)
    except OSError as error:
        raise CannotCreateError(f"{error.filename or folder}: {error.strerror}", "give another folder") from error
    return goal


def _example(plan: Plan) -> Tensor:
    return torch.zeros(1, plan.inputs, *EXAMPLE)


def _write_torchscript(ensemble: nn.Module, example: Tensor, path: Path) -> None:
    torch.jit.trace(ensemble, example, check_trace=False).save(str(path))  # type: ignore[no-untyped-call]


def _write_onnx(ensemble: Ensemble, example: Tensor, path: Path) -> None:
    any_size = dict.fromkeys((2, 3, 4), torch.export.Dim.DYNAMIC)
    torch.onnx.export(
        ensemble,
        (example,),
        path,
        input_names=["inputs"],
        output_names=list(OUTPUTS),
        dynamic_shapes=(any_size,),
        external_data=False,
        verbose=False,
    )


def _about(bundle: Bundle, form: str, ensemble: Ensemble) -> dict[str, Any]:
    """Say what goes in and comes out, for who has the file and not this software."""
    plan = bundle.plan
    where = region(plan.target)
    network = ensemble.networks[0]
    return {
        "Model": {"Name": bundle.name, "Version": bundle.version, "SHA256": bundle.sha256},
        "Format": form,
        "Networks": bundle.folds,
        "Input": {
            "Name": "inputs",
            "Shape": [1, plan.inputs, "X", "Y", "Z"],
            "Type": "float32",
            **_channels(plan, where),
            "Axes": [AXES[axis] for axis in axis_order(plan)],
            **({"Slices": f"{plan.slice_axis}, one after the other along the last axis"} if plan.slices else {}),
            "Images": bundle.images.to_json(),
        },
        "Outputs": {name: text.format(region=where) for name, text in OUTPUTS.items()},
        "TargetScale": bundle.target_scale.to_json(),
        "Windows": {
            "Stride": network.stride,
            "Reach": network.reach,
            "Advice": f"give the whole of {where}, cropped to that and {MARGIN_MM:g} mm more. Where memory "
            "forbids that, let windows start at multiples of the stride; each is wrong nearer than the reach to "
            "where it was cut off",
        },
        "Warning": f"A lesion in a synthetic {plan.target} is not evidence.",
    }


def _channels(plan: Plan, where: str) -> dict[str, Any]:
    """Say how the input's channels are made, as `load_volume` does it."""
    said: dict[str, Any] = {
        "Channels": [
            *(f"{name}: {ABOVE_AIR if plan.target == CT else NORMALIZED}" for name in plan.sources),
            *(f"1 in {where} if there is a {name}, else 0" for name in plan.sources if plan.sources_may_miss),
            *(f"{name}: {FEATURES[name].format(region=where)}" for name in plan.features),
        ]
    }
    if plan.target == CT:
        said["Zero"] = ZERO
    if plan.sources_may_miss:
        said["MissingSource"] = f"its channel is {AIR:g} throughout {where}"
    return {**said, "Region": where, "OutsideTheRegion": 0}


@contextmanager
def _silence() -> Iterator[None]:
    """Keep to itself what exporters say of packages that nobody needs, and of tracing what is known to be so."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
