"""Losses know nothing of what lies outside the mask."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from bidsapp.settings import LOSSES as NAMES
from bidsapp.synthesis.losses import LOSSES, PHRASES, masked_dissimilarity, masked_gradient


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 1, 12, 13, 14, generator=generator)
    prediction = target + 0.5 * torch.randn(target.shape, generator=generator)
    mask = torch.zeros_like(target)
    mask[0, :, 1:11, 2:12, 1:13] = 1
    mask[1, :, :8, :9, 3:14] = 1
    return prediction, target, mask


def test_every_name_on_the_command_line_is_a_loss_with_a_phrase():
    assert set(NAMES) == set(LOSSES) == set(PHRASES)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_a_loss(loss, images):
    prediction, target, mask = images
    value = loss(prediction, target, mask)
    assert value > 0.1
    assert loss(target, target, mask).abs() < 1e-6
    assert loss(prediction, target, 0 * mask) == 0
    outside = mask == 0
    elsewhere = loss(torch.where(outside, 50.0, prediction), torch.where(outside, -9.0, target), mask)
    assert elsewhere == pytest.approx(float(value), rel=1e-4)
    wanted = prediction.clone().requires_grad_()
    loss(wanted, target, mask).backward()
    assert wanted.grad[outside].abs().max() == 0
    assert torch.isfinite(wanted.grad).all()


def test_values_in_a_few_voxels():
    target = torch.zeros(1, 1, 2, 2, 2)
    prediction = target.clone()
    prediction[0, 0, 0, 0] = torch.tensor([1.0, 4.0])
    mask = torch.zeros_like(target)
    mask[0, 0, 0] = 1  # four voxels, errors 1, 4, 0, 0
    values = {name: float(loss(prediction, target, mask)) for name, loss in LOSSES.items()}
    # Differences in the mask: none along x; 1 and 4 along y, mean 2.5; 3 and 0 along z, mean 1.5.
    gradient = (0 + 2.5 + 1.5) / 3
    assert values["l1"] == pytest.approx(5 / 4)
    assert values["mse"] == pytest.approx(17 / 4)
    assert values["l1+gradient"] == pytest.approx(5 / 4 + gradient)


def test_similarity_is_that_of_scikit_image_in_windows_that_lie_in_the_mask(images):
    prediction, target, mask = images
    similarities = []
    for x, y, m in zip(*(image[:, 0].double().numpy() for image in images), strict=True):
        _, local = structural_similarity(x, y, win_size=7, data_range=np.ptp(y[m > 0]), full=True)
        corners = np.ndindex(*(n - 6 for n in m.shape))
        whole = [corner for corner in corners if m[tuple(slice(c, c + 7) for c in corner)].all()]
        similarities += [local[tuple(c + 3 for c in corner)] for corner in whole]
    assert len(similarities) == 4 * 4 * 6 + 2 * 3 * 5
    assert masked_dissimilarity(prediction, target, mask) == pytest.approx(1 - np.mean(similarities), abs=1e-5)


def test_a_constant_error_has_no_gradient_and_a_blur_has(images):
    _, target, mask = images
    assert masked_gradient(target + 2, target, mask) < 1e-6
    smooth = torch.nn.functional.avg_pool3d(target, 3, 1, 1)
    assert masked_gradient(smooth, target, mask) > 0.5


def test_windows_of_a_flat_patch_are_flat(images):
    prediction, target, mask = (image[:1, :, 3:4] for image in images)
    x, y = (image[0, 0, 0].double().numpy() for image in (prediction, target))
    inside = mask[0, 0, 0].numpy() > 0
    _, local = structural_similarity(x, y, win_size=7, data_range=np.ptp(y[inside]), full=True)
    similarity = local[5:9, 4:10].mean()  # centres of windows in the mask, which is 2:12 by 1:13
    assert masked_dissimilarity(prediction, target, mask) == pytest.approx(1 - similarity, abs=1e-5)


def test_errors_in_bone_have_three_times_the_weight():
    target = torch.tensor([-1.0, 0.04, 0.31, 1.2]).reshape(1, 1, 4, 1, 1)  # air, brain and bone, in 1000 HU
    prediction = target + torch.tensor([0.1, 0.2, 0.3, 0.4]).reshape(target.shape)
    mask = torch.ones_like(target)
    slope = 0.1  # from each voxel to the next, along the only axis that has neighbours
    loss = LOSSES["l1+gradient+bone"]
    assert loss(prediction, target, mask) == pytest.approx((0.1 + 0.2 + 3 * 0.7) / 4 + slope)
    mask[:, :, 3] = 0
    assert loss(prediction, target, mask) == pytest.approx((0.1 + 0.2 + 3 * 0.3) / 3 + slope)
