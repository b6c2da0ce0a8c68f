"""Layers that the generator and the critic share.

The paper divides the weights of all convolutions by their spectral norm. Before a batch norm that changes nothing: the
batch norm undoes any factor, of the maps and of the gradients. So it is done where no batch norm follows
(`SpectralConv2d`), which saves nearly all of its cost, and nothing else.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dfukit_fastgan import GRAIN
from dfukit_fastgan.products import convolve, double

SIZE = 0.02
"""Root mean square of all first weights (Radford et al. 2016). A norm follows nearly everywhere and makes their size
nothing to the maps; to Adam, whose steps have a size of their own, it says how fast a layer learns."""
START = 10
"""Power iterations with which a spectral norm begins; then one for each forward pass in training."""
ADDED_UP = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Which rows of a 3x3 kernel are added up in each row of the 4x4 one, and which columns in each column."""
POOLED = 4
"""Width of the map that a gate is made of."""
MERGED_FROM = 8
"""Width of the map from which on upsampling and convolution are one: below, the larger kernel costs more."""


class SpectralConv2d(nn.Conv2d):
    """A convolution without bias, its weight divided by its largest singular value (Miyato et al. 2018, algorithm 1).

    The largest singular value of the weight as a matrix [out, k * k * in] is |W^T u|, u being its left singular vector.
    """

    left: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, bias=False)
        nn.init.normal_(self.weight, 0.0, SIZE)
        self.register_buffer("left", functional.normalize(torch.randn(outputs), dim=0))
        self.settle()

    def settle(self) -> None:
        """Find the singular vector of weights that were just set."""
        for _ in range(START):
            self._iterate(_as_matrix(self.weight))

    def forward(self, maps: Tensor) -> Tensor:
        return self._conv_forward(maps, self.normalised(), None)

    def normalised(self) -> Tensor:
        """The weight divided by its largest singular value, which carries a gradient too."""
        if self.training:
            with torch.autocast(self.weight.device.type, enabled=False):
                self._iterate(_as_matrix(self.weight))
        divided: Tensor = _DividedBySpectralNorm.apply(self.weight, self.left)
        return divided

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        torch.mv(matrix, torch.mv(matrix.t(), self.left), out=self.left)
        self.left.div_(self.left.norm())


class _DividedBySpectralNorm(torch.autograd.Function):
    """W / s with s = |W^T u|, u being held fixed; the derivative of s by W is u v^T with v = W^T u / s.

    Written out, it takes fewer operations than autograd's: their number is what small layers cost on a GPU.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, left: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            right = torch.mv(_as_matrix(weight).t(), left)
            norm = right.norm()
            divided = weight / norm
        # A copy of u, as the next pass moves it before this one's gradient is asked for.
        ctx.save_for_backward(divided, left.clone(), right, norm)
        return divided

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        divided, left, right, norm = ctx.saved_tensors
        # d(W/s) = dW / s - W/s * ds / s
        matrix = _as_matrix(gradient)
        share = torch.dot(matrix.flatten(), _as_matrix(divided).flatten()) / norm
        of_weight = torch.addr(matrix / norm, left, right * (share / norm), alpha=-1)
        outputs, inputs, height, width = gradient.shape
        return of_weight.view(outputs, height, width, inputs).permute(0, 3, 1, 2), None


def _as_matrix(weight: Tensor) -> Tensor:
    """[out, in, k, k] -> [out, k * k * in], which takes no copy in the memory layout of training, channels_last."""
    return weight.permute(0, 2, 3, 1).flatten(1)


class UpConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by two, then a 3x3 convolution without bias.

    The two are one transposed convolution (4x4, stride 2), whose kernel is the 3x3 one added up over the pixels that
    upsampling makes equal: 16 products for a pixel of the smaller map in the place of 36, and no larger map in between.
    The border goes on outside of the map: zeros there begin as a grey frame around the pictures.
    """

    added_up: Tensor
    """[9, 16]"""

    def __init__(self, inputs: int, outputs: int, grain: float = GRAIN) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        rows = torch.tensor(ADDED_UP)
        self.register_buffer("added_up", torch.kron(rows, rows).t().contiguous(), persistent=False)
        start_smooth(self, BILINEAR, grain)

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[-1] < MERGED_FROM:
            return convolve(functional.interpolate(maps, scale_factor=2), self.weight)
        return double(maps, self.merged())

    def merged(self) -> Tensor:
        """The kernel [in, out, 4, 4] of the transposed convolution: each of its numbers is a sum of the 3x3 one's."""
        outputs, inputs = self.weight.shape[:2]
        kernel = torch.mm(self.weight.transpose(0, 1).reshape(-1, 9), self.added_up)
        return kernel.view(inputs, outputs, 4, 4)


class Conv2d(nn.Conv2d):
    """A 3x3 convolution without bias that begins as a mixture of channels, pixel by pixel; borders as `UpConv2d`'s."""

    def __init__(self, inputs: int, outputs: int, grain: float = GRAIN) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        start_smooth(self, CENTRE, grain)

    def forward(self, maps: Tensor) -> Tensor:
        return convolve(maps, self.weight)


BILINEAR = (0.25, 0.5, 0.25)
"""What makes bilinear upsampling of nearest-neighbour upsampling."""
CENTRE = (0.0, 1.0, 0.0)


@torch.no_grad()
def start_smooth(layer: nn.Conv2d, profile: tuple[float, float, float], grain: float) -> None:
    """Begin as random mixtures of channels, each spread over the pixels by `profile`, and `grain` times as much noise.

    Independent weights begin as grain at every width of the maps, which short training does not unlearn; smooth ones
    alone learn no detail in a short training.
    """
    spread = torch.outer(torch.tensor(profile), torch.tensor(profile))
    mixture = torch.randn(layer.out_channels, layer.in_channels, 1, 1)
    noise = grain * torch.randn_like(layer.weight) * spread.norm() / layer.weight[0, 0].numel() ** 0.5
    started = mixture * spread + noise
    layer.weight.copy_(started * SIZE / started.square().mean().sqrt())
    if isinstance(layer, SpectralConv2d):
        layer.settle()


class Gate(nn.Module):
    """Skip-layer excitation: factors in (0, 1) [N, outputs, 1, 1] for the channels of a map, made of another map.

    That map is a multiple of four pixels wide.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.factors = nn.Sequential(
            SpectralConv2d(inputs, outputs, POOLED),
            nn.SiLU(),
            SpectralConv2d(outputs, outputs, 1),
            nn.Sigmoid(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        # Adaptive pooling would give the same, more slowly on a GPU.
        factors: Tensor = self.factors(functional.avg_pool2d(maps, maps.shape[-1] // POOLED))
        return factors


class GLU(nn.Module):
    """nn.GLU over the channels, whose gradient lies in memory as the maps do.

    torch's own hands back channels_last maps as contiguous ones, which makes the batch norm before it six times slower
    on a CPU.
    """

    def forward(self, maps: Tensor) -> Tensor:
        gated: Tensor = _Glu.apply(maps)
        return gated


class _Glu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        values, gates = maps.chunk(2, dim=1)
        # Copied first: half of the few channels of a pixel would not fill a vector instruction of a CPU.
        gates = gates.clone(memory_format=torch.channels_last).sigmoid_()
        gated = values * gates
        ctx.save_for_backward(gated, gates)
        return gated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gated, gates = ctx.saved_tensors
        n, channels, *sides = gradient.shape
        whole = torch.empty(
            (n, 2 * channels, *sides), dtype=gated.dtype, device=gated.device, memory_format=torch.channels_last
        )
        torch.mul(gradient, gates, out=whole[:, :channels])
        torch.mul(gradient * gated, 1 - gates, out=whole[:, channels:])
        return whole
