"""The last layers: images are predicted in float32, whatever the layers before them are computed in."""

import torch
from torch import nn

from bidsapp.synthesis.heads import Pointwise
from bidsapp.synthesis.networks import build_network


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def test_a_linear_layer_predicts_in_float32_and_learns_as_any_other():
    layer = Pointwise(4, 1)
    plain = nn.Conv3d(4, 1, 1)
    plain.load_state_dict(layer.state_dict())  # bundles name its weights as they always did
    x = torch.randn(1, 4, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    features = x.bfloat16()
    with autocast():
        learned, predicted = layer.train()(features), layer.eval()(features)
        assert torch.equal(learned, plain(features))
    assert learned.dtype == torch.bfloat16
    assert predicted.dtype == torch.float32
    torch.testing.assert_close(predicted, plain(features.float()), atol=1e-6, rtol=1e-6)
    assert torch.equal(layer(x), plain(x))


def test_a_predicted_image_has_more_values_than_bfloat16():
    network = build_network("unet", 2, (4, 8), seed=0)
    random = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, Pointwise):
            nn.init.normal_(layer.weight, generator=random)
    x = 5 + torch.randn(1, 2, 16, 16, 16, generator=random)
    with torch.inference_mode(), autocast():
        predicted, learned = network.eval()(x), network.train()(x)
    assert learned.dtype == torch.bfloat16
    assert predicted.dtype == torch.float32
    assert len(predicted[0, 0].unique()) > 4000  # of 4096 voxels
    assert len(learned[0, 0].unique()) < 1000
