"""Moving pictures by affine matrices, with gradients of gradients."""

from __future__ import annotations

from typing import Any

import torch
from kornia.geometry.conversions import convert_affinematrix_to_homography, normalize_homography
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def warped(images: Tensor, matrices: Tensor) -> Tensor:
    """Pictures [N, C, S, S] moved by affine matrices [N, 2, 3] in pixels; what comes in from outside is mirrored.

    As kornia's warp_affine, and with gradients of gradients by the pictures, which a gradient penalty asks for and
    older versions of torch lack.
    """
    size = images.shape[-2:]
    precision = torch.promote_types(images.dtype, torch.float32)
    with torch.autocast(images.device.type, enabled=False):  # bfloat16 rounds places
        homographies = normalize_homography(convert_affinematrix_to_homography(matrices.to(precision)), size, size)
        places = torch.linalg.inv_ex(homographies)[0][:, :2]
        grid = functional.affine_grid(places, list(images.shape), align_corners=True)
        read: Tensor = _Read.apply(images.to(precision), grid)
    return read.to(images.dtype)


HOW = ("bilinear", "reflection", True)
IN_NUMBERS = (0, 2, True)
"""Interpolation, padding and aligned corners, as torch's functions and its operators name them."""


class _Read(torch.autograd.Function):
    """Pictures read at the places of a grid [N, S, S, 2]: linear in the pictures."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return functional.grid_sample(images, grid, *HOW)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _ReadTransposed.apply(gradient, grid, ctx.shape), None


class _ReadTransposed(torch.autograd.Function):
    """The gradient of `_Read`, and what it is of twice: the derivative of a linear map's transpose is the map."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        unread = gradient.new_empty(()).expand(shape)
        of_images: Tensor = torch.ops.aten.grid_sampler_2d_backward(gradient, unread, grid, *IN_NUMBERS, (True, False))[
            0
        ]
        return of_images

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tangent: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return functional.grid_sample(tangent, grid, *HOW), None, None
