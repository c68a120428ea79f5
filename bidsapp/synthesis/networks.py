"""The networks, behind one registry: any-size input, and the linear `Heads` at the end.

Batch normalization is used throughout because its statistics are fixed once trained: the value predicted at a
voxel then depends on the voxel's neighbourhood only, never on the size, place or background of the window it
was computed in. Upsampling is trilinear; transposed convolutions leave checkerboards.

Every network says its ``stride``, the voxels between two of its coarsest level, and its ``reach``, how far away
the input that a predicted voxel depends on can lie: windows are laid out by them. A planar network is the same
with kernels, strides and upsampling in the plane of the first two axes only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's users expect
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from bidsapp.synthesis.heads import Heads, Pointwise
from bidsapp.synthesis.slices import Sliced, beyond, edges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class ConvNorm(nn.Sequential):
    """A 3×3×3 convolution, or a planar one, batch normalization and a rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, planar: bool = False) -> None:
        super().__init__(
            _convolution(inputs, outputs, stride, planar=planar),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        )


def _convolution(inputs: int, outputs: int, stride: int = 1, *, planar: bool) -> nn.Conv3d:
    steps, border = edges(stride, planar), edges(1, planar, flat=0)
    return nn.Conv3d(inputs, outputs, edges(3, planar), stride=steps, padding=border, bias=False)


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity (He et al. 2016, doi:10.1109/CVPR.2016.90)."""

    def __init__(self, channels: int, *, planar: bool = False) -> None:
        super().__init__()
        last = nn.BatchNorm3d(channels)
        # Starting as the identity lets the first steps train the shallow path, which matters when steps are few.
        nn.init.zeros_(last.weight)
        convolution = _convolution(channels, channels, planar=planar)
        self.body = nn.Sequential(ConvNorm(channels, channels, planar=planar), convolution, last)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, X, Y, Z)`` to the same shape."""
        return F.relu(x + self.body(x))


class ResidualUNet(nn.Module):
    """A U-Net of residual blocks with one convolution at full resolution on either side.

    Full-resolution layers cost most of the time on a CPU, so there are only two; context comes from the
    coarser levels. Skips are added, not concatenated, after the upsampled features have been brought to the
    skip's channels. The sources enter the result once more through a learned 1×1×1 input skip: between MR
    contrasts most of the structure is already there.

    Parameters
    ----------
    inputs : int
        Input channels.
    channels : sequence of int
        Channels of each level, the first at full resolution.
    planar : bool
        Whether it works in the plane only.
    """

    def __init__(self, inputs: int, channels: Sequence[int], *, planar: bool = False) -> None:
        super().__init__()
        self.stride = 2 ** (len(channels) - 1)
        self.strides, self.upsampling = edges(self.stride, planar), edges(2, planar)
        # At full resolution two convolutions; on the way down to a level its strided one, there a block of two and
        # the interpolation; on the way up, at the levels between, another block of two.
        self.reach = 2 + sum(
            2 ** (k - 1) + 3 * 2**k + 2 * 2**k * (k < len(channels) - 1) for k in range(1, len(channels))
        )
        self.stem = ConvNorm(inputs, channels[0], planar=planar)
        finer_coarser = list(pairwise(channels))
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(fine, coarse, stride=2, planar=planar), ResidualBlock(coarse, planar=planar))
            for fine, coarse in finer_coarser
        )
        self.reduce = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in finer_coarser)
        self.up = nn.ModuleList(
            ConvNorm(fine, fine, planar=planar) if level == 0 else ResidualBlock(fine, planar=planar)
            for level, (fine, _) in enumerate(finer_coarser)
        )
        self.heads = Heads(channels[0])
        self.input_skip = Pointwise(inputs, 1, bias=False)
        nn.init.zeros_(self.input_skip.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, X, Y, Z)`` of any size to ``(N, 2, X, Y, Z)``."""
        size = x.shape[2:]
        x = F.pad(x, beyond(size, self.strides))
        features = self.stem(x)
        skips = []
        for down in self.down:
            skips.append(features)
            features = down(features)
        for level in reversed(range(len(self.up))):
            coarse = self.reduce[level](features)
            coarse = F.interpolate(coarse, scale_factor=self.upsampling, mode="trilinear")
            features = self.up[level](skips[level] + coarse)
        out: Tensor = self.heads(features, self.input_skip(x))
        return out[..., : size[0], : size[1], : size[2]]


WEIGHT_NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {"weight": weight_norm, "spectral": spectral_norm}


class SeedResNet(nn.Module):
    """The article's small 3D ResNet: 32 channels, two residual blocks, 1×1×1 last kernel.

    The article (Reinhold 2019) documents no more than "very small, batch norm, 1×1×1 last kernel"; its author's
    code also offers weight normalization (Salimans 2016, arXiv:1602.07868) and spectral normalization (Miyato
    2018, arXiv:1802.05957), which are about weights and so cannot depend on a window either.

    Parameters
    ----------
    inputs : int
        Input channels.
    channels : sequence of int
        One number.
    norm : str
        ``batch``, ``weight`` or ``spectral``.
    planar : bool
        Whether it works in the plane only.
    """

    def __init__(self, inputs: int, channels: Sequence[int], norm: str = "batch", *, planar: bool = False) -> None:
        super().__init__()
        (width,) = channels
        self.stride, self.reach = 1, 5
        self.body = nn.Sequential(
            ConvNorm(inputs, width, planar=planar),
            ResidualBlock(width, planar=planar),
            ResidualBlock(width, planar=planar),
        )
        self.heads = Heads(width)
        if norm != "batch":
            _normalize_weights(self.body, WEIGHT_NORMS[norm])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, X, Y, Z)`` of any size to ``(N, 2, X, Y, Z)``."""
        out: Tensor = self.heads(self.body(x))
        return out


def _normalize_weights(body: nn.Module, normalize: Callable[[nn.Module], nn.Module]) -> None:
    """Replace every convolution and the batch normalization after it by a normalized convolution with a bias."""
    for chain in [module for module in body.modules() if isinstance(module, nn.Sequential)]:
        for i, (convolution, norm) in enumerate(pairwise(list(chain))):
            if isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                convolution.bias = nn.Parameter(torch.zeros(convolution.out_channels))
                chain[i], chain[i + 1] = normalize(convolution), nn.Identity()


class AnySize(nn.Module):
    """A network that wants edges of whole strides, with its input padded by zeros and its output cut back.

    Parameters
    ----------
    body : torch.nn.Module
        The network, to the features that the heads read.
    channels : int
        Of these features.
    stride, reach : int
        See the head of this module.
    planar : bool
        Whether it works in the plane only.
    """

    def __init__(self, body: nn.Module, channels: int, stride: int, reach: int, *, planar: bool = False) -> None:
        super().__init__()
        self.body = body
        self.heads = Heads(channels)
        self.stride = stride
        self.strides = edges(stride, planar)
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, X, Y, Z)`` of any size to ``(N, 2, X, Y, Z)``."""
        size = x.shape[2:]
        out: Tensor = self.heads(self.body(F.pad(x, beyond(size, self.strides))))
        return out[..., : size[0], : size[1], : size[2]]


def segresnet(inputs: int, channels: Sequence[int]) -> nn.Module:
    """Build MONAI's SegResNet (Myronenko 2018, arXiv:1810.11654) with batch for group normalization.

    `channels` double from level to level, as its own do; upsampling is trilinear.
    """
    from monai.networks.nets import SegResNet

    levels = len(channels)
    body = SegResNet(
        init_filters=channels[0],
        in_channels=inputs,
        out_channels=channels[0],
        norm="BATCH",
        blocks_down=(1, *[2] * (levels - 1)),
        blocks_up=(1,) * (levels - 1),
    )
    return AnySize(body, channels[0], 2 ** (levels - 1), 12 * 2 ** (levels - 1))


def dynunet(inputs: int, channels: Sequence[int], *, planar: bool = False) -> nn.Module:
    """Build MONAI's DynUNet, after nnU-Net (Isensee 2021, doi:10.1038/s41592-020-01008-z), with batch norm.

    It upsamples by transposed convolutions, as nnU-Net does; they can leave checkerboards.
    """
    from monai.networks.nets import DynUNet

    levels = len(channels)
    body = DynUNet(
        spatial_dims=3,
        in_channels=inputs,
        out_channels=channels[0],
        kernel_size=[edges(3, planar)] * levels,
        strides=[edges(1, planar), *[edges(2, planar)] * (levels - 1)],
        upsample_kernel_size=[edges(2, planar)] * (levels - 1),
        filters=channels,
        norm_name="BATCH",
    )
    return AnySize(body, channels[0], 2 ** (levels - 1), 12 * 2 ** (levels - 1), planar=planar)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "unet": ResidualUNet,
    "unet-base": ResidualUNet,
    "seed-resnet": SeedResNet,
    "segresnet": segresnet,
    "dynunet": dynunet,
}


def build_network(
    name: str, inputs: int, channels: Sequence[int], seed: int, norm: str = "batch", slices: int | None = None
) -> nn.Module:
    """Build a network of the registry with weights drawn from a seed.

    Parameters
    ----------
    name : str
        A key of ``NETWORKS``.
    inputs : int
        Input channels.
    channels : sequence of int
        Channels of each level.
    seed : int
        Seed of the initial weights.
    norm : str
        Normalization; other than ``batch`` for ``seed-resnet`` only.
    slices : int or None
        Slices that it reads for each that it predicts, for a planar network; MONAI's SegResNet is none.

    Returns
    -------
    torch.nn.Module
        On the CPU, float32.
    """
    options: dict[str, Any] = {} if norm == "batch" else {"norm": norm}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if slices is None:
            return NETWORKS[name](inputs, channels, **options)
        return Sliced(NETWORKS[name](inputs * slices, channels, planar=True, **options), slices)
