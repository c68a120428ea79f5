"""What is exported predicts the same voxels."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import onnxruntime
import pytest
import torch

from bidsapp.synthesis.export import Ensemble, export_bundle
from bidsapp.synthesis.inference import predict
from bidsapp.synthesis.modes import axis_order
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.training import make_fabric

from ..bundles import small_bundle, small_plan
from .conftest import make_pair

SLICES = {"input_mode": "slabs", "extents": (20, 20, 20)}
NETWORKS = {
    "unet": small_plan("unet", (4, 8, 16)),
    "seed-resnet": small_plan("seed-resnet", (4,), norm="weight"),
    "slices": small_plan("unet", (4, 8), **SLICES),
    "segresnet": small_plan("segresnet", (8, 16)),
    "dynunet": small_plan("dynunet", (4, 8, 16)),
}


SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in ("slices", "segresnet", "dynunet")]


def run(path, inputs):
    """Return the outputs of an exported file, by software that knows nothing of ours."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {"inputs": inputs})
    with torch.inference_mode():
        return [output.numpy() for output in torch.jit.load(path)(torch.from_numpy(inputs))]


def with_weights(bundle):
    """Return a bundle's networks with other numbers than those that they begin with, among which are zeros."""
    networks = [bundle.network(fold) for fold in range(bundle.folds)]
    random = torch.Generator().manual_seed(0)
    for network in networks:
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and "original" not in name:
                noise = torch.randn(tensor.shape, generator=random)
                tensor.add_(noise.abs() if "var" in name else noise, alpha=0.1)
    return networks


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
@pytest.mark.parametrize("name", ["unet", "seed-resnet", *SLOWER])
def test_the_same_voxels_at_any_size(tmp_path, monkeypatch, name, form):
    bundle = small_bundle(tmp_path / "bundle", NETWORKS[name])
    networks = with_weights(bundle)
    monkeypatch.setattr(type(bundle), "network", lambda self, fold: networks[fold])
    path = export_bundle(bundle, tmp_path / "export", form)
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.json", path.name]

    volume = load_volume(make_pair(tmp_path, 1), bundle.plan.features)
    fabric = make_fabric("cpu", "32-true")
    for cut in ((slice(None),) * 3, (slice(0, 21), slice(2, 25), slice(1, 14))):
        part = replace(volume, inputs=volume.inputs[:, *cut], mask=volume.mask[cut])
        ours = predict(networks, part, bundle.plan, fabric)
        outputs = run(path, np.ascontiguousarray(part.inputs[None]))
        assert [output.shape for output in outputs] == [(1, 1, *part.mask.shape)] * 2
        assert np.abs(ours.image).max() > 0.05
        for output, expected in zip(outputs, (ours.image, np.log(ours.scale)), strict=True):
            np.testing.assert_allclose(output[0, 0][part.mask], expected[part.mask], atol=1e-4)


AXES = {
    "sagittal": ["back-front", "down-up", "left-right"],
    "coronal": ["left-right", "down-up", "back-front"],
    "axial": ["left-right", "back-front", "down-up"],
}


@pytest.mark.parametrize("axis", AXES)
def test_slices_along_any_axis_are_mirrored_left_right_and_their_axes_named(tmp_path, monkeypatch, axis):
    plan = small_plan("unet", (4, 8), input_mode="slice-patches", slice_axis=axis)
    bundle = small_bundle(tmp_path / "bundle", plan)
    networks = with_weights(bundle)
    volume = load_volume(make_pair(tmp_path, 1), plan.features)
    order = axis_order(plan)
    ours = predict(networks, volume, plan, make_fabric("cpu", "32-true")).image.transpose(order)
    with torch.inference_mode():
        turned = np.ascontiguousarray(volume.inputs[None].transpose(0, 1, *(2 + a for a in order)))
        image, _ = Ensemble(networks, plan).eval()(torch.from_numpy(turned))
    mask = volume.mask.transpose(order)
    assert ours[mask].std() > 0.05
    np.testing.assert_allclose(image[0, 0].numpy()[mask], ours[mask], atol=1e-4)

    monkeypatch.setattr(type(bundle), "network", lambda self, fold: networks[fold])
    path = export_bundle(bundle, tmp_path / "export", "torchscript")
    about = json.loads((path.parent / "model.json").read_text())["Input"]
    assert about["Axes"] == AXES[axis]
    assert about["Slices"] == f"{axis}, one after the other along the last axis"


def test_what_goes_in_and_comes_out_is_said(tmp_path):
    plan = small_plan("unet", (4, 8), sources=("T1w", "T2w"), sources_may_miss=True)
    bundle = small_bundle(tmp_path / "bundle", plan)
    path = export_bundle(bundle, tmp_path / "export", "torchscript")
    about = json.loads((path.parent / "model.json").read_text())
    assert about["Model"] == {"Name": "bundle", "Version": "0.9", "SHA256": bundle.sha256}
    assert about["Networks"] == 2
    channels = about["Input"]["Channels"]
    assert len(channels) == about["Input"]["Shape"][1] == plan.inputs == 9
    assert channels[0] == "T1w: normalized, plus 5"
    assert channels[2] == "1 in the brain if there is a T1w, else 0"
    assert channels[4] == "mask: 1 in the brain"
    assert about["Input"]["MissingSource"] == "its channel is 5 throughout the brain"
    assert about["Input"]["Region"] == "the brain"
    assert "Zero" not in about["Input"]
    assert about["Input"]["Axes"] == AXES["axial"]
    assert "Slices" not in about["Input"]
    assert list(about["Outputs"]) == ["image", "log_scale"]
    assert about["Windows"]["Stride"] == 2
    assert about["TargetScale"] == {"Method": "robust", "Offset": 100.0, "Scale": 20.0}
    assert "is not evidence" in about["Warning"]


def test_what_a_network_reads_to_predict_a_ct_is_said_as_it_is_computed(tmp_path):
    plan = small_plan("unet", (4, 8), sources=("T1w", "T2w"), target="ct", sources_may_miss=True)
    path = export_bundle(small_bundle(tmp_path / "bundle", plan), tmp_path / "export", "torchscript")
    text = (path.parent / "model.json").read_text()
    about = json.loads(text)["Input"]
    assert "the brain" not in text
    assert about["Region"] == "the head and 10 mm around it"
    assert about["OutsideTheRegion"] == 0
    assert about["Channels"][4] == "mask: 1 in the head and 10 mm around it"

    pair = make_pair(tmp_path, 1)
    source = np.asarray(nib.as_closest_canonical(nib.load(pair.sources[0])).dataobj)
    formula = "T1w: 5 * (1 - normalized / zero) if zero < -0.5, else 5 * (normalized - zero)"
    assert about["Channels"][0] == formula
    assert "-Offset / Scale" in about["Zero"]
    assert about["MissingSource"] == "its channel is 5 throughout the head and 10 mm around it"
    for zero, expected in ((-3.0, 5 * (1 - source / -3.0)), (-0.25, 5 * (source + 0.25))):
        without = replace(pair, sources=(*pair.sources, None), zeros=(zero, None))
        volume = load_volume(without, plan.features, presence=True)
        read = volume.inputs[0][volume.mask]
        np.testing.assert_allclose(read, expected[volume.box][volume.mask], rtol=1e-5, atol=1e-5)
        assert np.all(volume.inputs[1][volume.mask] == 5)
