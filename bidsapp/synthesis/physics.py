"""What a scanner and a moving head do to an image, for training patches of the sources.

Every function takes one channel of one patch, ``(X, Y, Z)``, with air at 0 and the brain about 5 above it, so that
values are nearly proportional to the signal; it leaves its argument as it is. Voxels of value 0 are outside the
brain. They take no part: a brain is cut out after it was scanned, so nothing of the darkness around it belongs
into its surface.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's users expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor


def bias_field(image: Tensor, generator: Generator) -> Tensor:
    """Multiply by a smooth field, a random polynomial of order two: what N4 leaves is a few percent."""
    x, y, z = (_along(torch.linspace(-1, 1, n), axis) for axis, n in enumerate(image.shape))
    terms = (x, y, z, x * x, y * y, z * z, x * y, y * z, x * z)
    exponent = torch.zeros(image.shape)
    for term in terms:
        exponent = exponent + 0.05 * torch.randn((), generator=generator) * term
    return image * (exponent - exponent.mean()).exp()


def gamma(image: Tensor, generator: Generator) -> Tensor:
    """Bend the contrast, with the patch's mean in its place: another echo or flip angle on the same tissue."""
    power = math.exp(_between(-0.3, 0.3, generator))
    middle = _mean(image)
    return middle * image.sign() * (image.abs() / middle) ** power


def blur(image: Tensor, generator: Generator) -> Tensor:
    """Smooth by a Gaussian of 0.4 to 1 voxel: coarser voxels, a little motion."""
    sigma = _between(0.4, 1.0, generator)
    weights = torch.exp(-0.5 * (torch.arange(-3, 4) / sigma) ** 2)
    weights /= weights.sum()

    def smooth(values: Tensor) -> Tensor:
        for axis in range(3):
            shape = [1, 1, 1, 1, 1]
            shape[2 + axis] = 7
            padding = [0, 0, 0]
            padding[axis] = 3
            values = F.conv3d(values, weights.reshape(shape), padding=padding)
        return values

    return _within(image, smooth)


def thick_slices(image: Tensor, generator: Generator) -> Tensor:
    """Average over slices of two to four voxels along one axis, and interpolate: most FLAIR and T2w are such."""
    axis = _long_axis(image, generator)
    kernel = [1, 1, 1]
    kernel[axis] = min(2 + _choice(3, generator), image.shape[axis])
    x, y, z = image.shape

    def resample(values: Tensor) -> Tensor:
        thick = F.avg_pool3d(values, kernel, ceil_mode=True)
        # By the factor, not to the size: the last slice may be thinner, the others stay where they were.
        return F.interpolate(thick, scale_factor=kernel, mode="trilinear")[..., :x, :y, :z]

    return _within(image, resample)


def motion(image: Tensor, generator: Generator) -> Tensor:
    """Shift a head by up to two voxels during the scan: the later lines of k-space are those of the moved head."""
    axis = _long_axis(image, generator)
    lines = torch.fft.fft(_filled(image), dim=axis)
    frequency = _along(torch.fft.fftfreq(image.shape[axis]), axis)
    shift = _between(-2.0, 2.0, generator)
    since = _between(0.05, 0.4, generator)  # the centre, which makes most of the image, is of the head at rest
    late = frequency.abs() >= since
    moved = torch.where(late, lines * torch.exp(-2j * math.pi * frequency * shift), lines)
    shifted: Tensor = torch.fft.ifft(moved, dim=axis).real
    return shifted


def ghosting(image: Tensor, generator: Generator) -> Tensor:
    """Weaken every second to fourth line of k-space: pulsation lays faint copies of the brain over it."""
    axis = _long_axis(image, generator)
    every = 2 + _choice(3, generator)
    strength = _between(0.05, 0.25, generator)
    index = torch.arange(image.shape[axis])
    number = torch.minimum(index, image.shape[axis] - index)  # of the line, counted from the centre
    weights = torch.where((number % every == 0) & (number > 0), 1 - strength, 1.0)
    lines = torch.fft.fft(_filled(image), dim=axis) * _along(weights, axis)
    ghosted: Tensor = torch.fft.ifft(lines, dim=axis).real
    return ghosted


def dropout(image: Tensor, generator: Generator) -> Tensor:
    """Replace a block of up to a third of each edge by the patch's mean: context has to tell what was there."""
    box = []
    for n in image.shape:
        length = 1 + _choice(max(1, n // 3), generator)
        start = _choice(n - length + 1, generator)
        box.append(slice(start, start + length))
    dropped = image.clone()
    dropped[tuple(box)] = _mean(image)
    return dropped


# Voxels along an axis from which slices can be thick, and lines of k-space early and late.
ROOM = 8

# How often each meets a channel of a patch. Together they leave about four in ten as they are, so that the network
# sees what it will mostly be given; what every scanner does a little is more frequent than what spoils a scan.
EFFECTS: tuple[tuple[Callable[[Tensor, Generator], Tensor], float], ...] = (
    (gamma, 0.15),
    (bias_field, 0.25),
    (blur, 0.1),
    (thick_slices, 0.1),
    (motion, 0.1),
    (ghosting, 0.1),
    (dropout, 0.05),
)


def disturb(sources: Tensor, generator: Generator) -> Tensor:
    """Apply each effect to each channel of each patch by its chance; background (exactly 0) stays 0.

    Parameters
    ----------
    sources : Tensor, shape (N, C, X, Y, Z)
        Normalized images, shifted so that air is 0; left as they are.
    generator : torch.Generator
        Source of random numbers, on the CPU.

    Returns
    -------
    Tensor
        Same shape.
    """
    disturbed = sources.clone()
    for channel in disturbed.flatten(0, 1):
        inside = channel != 0
        for effect, chance in EFFECTS:
            if torch.rand((), generator=generator) < chance and inside.any():
                channel.copy_(torch.where(inside, effect(channel, generator), channel))
    return disturbed


def _within(image: Tensor, smooth: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a weighted mean of the voxels inside the brain, with the weights of a linear operation."""
    inside = (image != 0).to(image.dtype)
    both = smooth(torch.stack([image, inside])[:, None])[:, 0]
    return torch.where(image != 0, both[0] / both[1].clamp(min=1e-3), image)


def _filled(image: Tensor) -> Tensor:
    """Return the brain in surroundings of its mean, so that no edge rings that the scanner never saw."""
    return torch.where(image != 0, image, _mean(image))


def _mean(image: Tensor) -> Tensor:
    """Return the mean inside the brain, at least 1: the brain is about 5 above air."""
    return (image.sum() / (image != 0).sum().clamp(min=1)).clamp(min=1.0)


def _along(values: Tensor, axis: int) -> Tensor:
    """Return a row of values in the shape that multiplies an image along an axis."""
    return values.reshape([-1 if axis == other else 1 for other in range(3)])


def _long_axis(image: Tensor, generator: Generator) -> int:
    """Choose an axis along which an effect has room: not across a slice, or a few of them."""
    long = [axis for axis, n in enumerate(image.shape) if n >= ROOM] or [0, 1, 2]
    return long[_choice(len(long), generator)]


def _between(low: float, high: float, generator: Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _choice(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
