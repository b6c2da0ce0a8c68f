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

from dfukit_fastgan.products import convolve, double

SIZE = 0.02
"""Root mean square of all first weights (Radford et al. 2016). A norm follows nearly everywhere and makes their size
nothing to the maps; to Adam, whose steps have a size of their own, it says how fast a layer learns."""
START = 10
"""Power iterations with which a spectral norm begins; then one for each forward pass in training."""
ADDED_UP = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Which rows of a 3x3 kernel are added up in each row of the 4x4 one, and which columns in each column."""
BLUR = (0.25, 0.5, 0.25)
"""Of rows and of columns: makes bilinear upsampling of nearest-neighbour upsampling."""
POOLED = 4
"""Width of the map that a gate is made of."""
MERGED_FROM = 8
"""Width of the map from which on upsampling and convolution are one: below, the larger kernel costs more."""


class SpectralConv2d(nn.Conv2d):
    """A convolution without bias, its weight divided by its largest singular value (Miyato et al. 2018, algorithm 1).

    The largest singular value of the weight as a matrix [out, k * k * in] is |W^T u|, u being its left singular vector.
    """

    left: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, padding_mode: str = "zeros"
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, padding_mode=padding_mode, bias=False)
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
    """Bilinear upsampling by two, then a 3x3 convolution without bias, the border going on outside of the map.

    Computed as nearest-neighbour upsampling, convolution, and a blur by (1, 2, 1) / 4 of rows and columns, which is the
    same: the blur makes bilinear upsampling of the first and may come last. The first two are one transposed
    convolution (4x4, stride 2), whose kernel is the 3x3 one added up over the pixels that upsampling makes equal: 16
    products for a pixel of the smaller map in the place of 36.
    """

    added_up: Tensor
    """[9, 16]"""
    blur: Tensor
    """[1, 1, 3, 3]"""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        rows, blur = torch.tensor(ADDED_UP), torch.tensor(BLUR)
        self.register_buffer("added_up", torch.kron(rows, rows).t().contiguous(), persistent=False)
        self.register_buffer("blur", torch.outer(blur, blur)[None, None], persistent=False)
        nn.init.normal_(self.weight, 0.0, SIZE)

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[-1] < MERGED_FROM:
            return convolve(functional.interpolate(maps, scale_factor=2, mode="bilinear"), self.weight)
        doubled = double(maps, self.merged())
        return functional.conv2d(doubled, self.blur.expand(doubled.shape[1], -1, -1, -1), groups=doubled.shape[1])

    def merged(self) -> Tensor:
        """The kernel [in, out, 4, 4] of the transposed convolution: each of its numbers is a sum of the 3x3 one's."""
        outputs, inputs = self.weight.shape[:2]
        kernel = torch.mm(self.weight.transpose(0, 1).reshape(-1, 9), self.added_up)
        return kernel.view(inputs, outputs, 4, 4)


class Conv2d(nn.Conv2d):
    """A 3x3 convolution without bias, the border going on outside of the map."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        nn.init.normal_(self.weight, 0.0, SIZE)

    def forward(self, maps: Tensor) -> Tensor:
        return convolve(maps, self.weight)


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
        gates = gates.sigmoid()
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
