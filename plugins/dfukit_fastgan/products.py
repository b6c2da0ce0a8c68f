"""Convolutions whose weights get their gradients in another way than torch's on a CPU, where that is faster.

In float32, oneDNN computes the gradients of wide maps' weights at a third of the speed of the forward pass. A matrix
product for each place of the kernel takes half to three quarters of that time (measured without AVX-512, from 128
channels on). In bfloat16 it does so where a kernel has a stride, at a tenth of that speed; with the four pixels of a
square made channels of one, there is no stride (a quarter of the time, with AMX). Derivatives of the second order are
not needed in a generator and cannot be had.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CHANNELS, WIDTH = 64, 8
"""Channels and width of a map from which on matrix products are faster."""


def convolve(maps: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution [out, in, 3, 3] of maps whose border goes on outside of them."""
    if _faster(maps, weight):
        convolved: Tensor = _Convolution.apply(bordered(maps), weight, False)
        return convolved
    return functional.conv2d(bordered(maps), weight)


def double(maps: Tensor, weight: Tensor) -> Tensor:
    """A transposed 4x4 convolution [in, out, 4, 4] of stride 2, which doubles the width; the border goes on outside."""
    if (maps.device.type == "cpu" and maps.dtype == torch.bfloat16) or _faster(maps, weight):
        doubled: Tensor = _Convolution.apply(bordered(maps), weight.to(maps.dtype), True)
        return doubled
    return functional.conv_transpose2d(bordered(maps), weight, stride=2, padding=3)


def bordered(maps: Tensor) -> Tensor:
    """Maps with their outermost pixels once more around them."""
    # Autocast would copy them to float32 and back on a CPU.
    with torch.autocast(maps.device.type, enabled=False):
        return functional.pad(maps, (1, 1, 1, 1), mode="replicate")


def _faster(maps: Tensor, weight: Tensor) -> bool:
    single = maps.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    wide = min(weight.shape[:2]) >= CHANNELS and maps.shape[-1] >= WIDTH
    return maps.device.type == "cpu" and single and wide


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, doubling: bool) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.doubling = doubling
        if doubling:
            return functional.conv_transpose2d(maps, weight, stride=2, padding=3)
        return functional.conv2d(maps, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        maps, weight = ctx.saved_tensors
        of_maps = of_weight = None
        if ctx.needs_input_grad[0]:
            stride, padding = ((2, 2), (3, 3)) if ctx.doubling else ((1, 1), (0, 0))
            of_maps, _, _ = torch.ops.aten.convolution_backward(
                gradient, maps, weight, None, stride, padding, (1, 1), ctx.doubling, (0, 0), 1, (True, False, False)
            )
        if ctx.needs_input_grad[1]:
            if not ctx.doubling:
                of_weight = _correlated(gradient, maps, 3, 1)
            else:
                large = functional.pad(gradient, (3, 3, 3, 3))
                of_weight = _folded(maps, large) if maps.dtype == torch.bfloat16 else _correlated(maps, large, 4, 2)
        return of_maps, of_weight, None


def _correlated(small: Tensor, large: Tensor, kernel: int, stride: int) -> Tensor:
    """For each place (a, b) of the kernel, the sum over pixels (i, j) of small[i, j] large[s i + a, s j + b].

    s is the stride. `small` [N, C, H, W], `large` [N, D, ...] as wide as that asks for; [C, D, kernel, kernel] comes
    back.
    """
    _, channels, height, width = small.shape
    pixels, others = small.permute(0, 2, 3, 1).reshape(-1, channels).t(), large.permute(0, 2, 3, 1)
    sums = small.new_empty(kernel, kernel, channels, large.shape[1])
    for row in range(kernel):
        rows = slice(row, row + stride * height, stride)
        for column in range(kernel):
            columns = slice(column, column + stride * width, stride)
            torch.mm(pixels, others[:, rows, columns].reshape(-1, large.shape[1]), out=sums[row, column])
    return sums.permute(2, 3, 0, 1)


def _folded(small: Tensor, large: Tensor) -> Tensor:
    """The same for a kernel of 4 and a stride of 2, as the gradient of a 2x2 kernel on `large` [N, D, 2 H + 2, 2 W + 2]
    with the four pixels of each square as channels of one."""
    n, others, height, width = large.shape
    channels = small.shape[1]
    squares = large.permute(0, 2, 3, 1).reshape(n, height // 2, 2, width // 2, 2, others).transpose(2, 3)
    folded = squares.reshape(n, height // 2, width // 2, 4 * others).permute(0, 3, 1, 2)
    like = small.new_empty(channels, 4 * others, 2, 2)
    _, sums, _ = torch.ops.aten.convolution_backward(
        small, folded, like, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (False, True, False)
    )
    places = sums.view(channels, 2, 2, others, 2, 2).permute(0, 3, 4, 1, 5, 2)
    return places.reshape(channels, others, 4, 4)
