"""Convolution and leaky ReLU whose second derivatives cost what they must.

A critic of these layers is linear in its input wherever no unit changes sign, so the gradient penalty depends on the
critic's activations through their signs alone, and nothing flows back into the forward pass. torch's own layers send a
tensor of zeros back through all of it, and take the weights' second derivative by a slower kernel: on a CPU a quarter
of the critic's step. Numbers, parameters and their names are those of torch's layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class LeanConv2d(nn.Conv2d):
    """nn.Conv2d, zero-padded and in one group; gradients of its weights cannot be differentiated again."""

    def forward(self, images: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        device = images.device.type
        if torch.is_autocast_enabled(device):
            # As autocast does for nn.Conv2d, which it knows by name.
            dtype = torch.get_autocast_dtype(device)
            images, weight = images.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        how = (self.stride, self.padding)
        maps: Tensor = _OfImages.apply(images, _Hidden(weight), _Hidden(bias), how)
        share: Tensor = _OfWeights.apply(weight, bias, _Hidden(images), maps.shape, how)
        joined: Tensor = _Joined.apply(maps, share)
        return joined


class LeanLeakyReLU(nn.LeakyReLU):
    """nn.LeakyReLU in place."""

    def forward(self, maps: Tensor) -> Tensor:
        leaked: Tensor = _Leaky.apply(maps, self.negative_slope)
        return leaked


class _Hidden:
    """A tensor that autograd does not take for an argument."""

    def __init__(self, tensor: Tensor | None) -> None:
        self.tensor = tensor


class _OfImages(torch.autograd.Function):
    """The convolution as a function of the pictures. A node of its own, because a node of Python always computes the
    gradients of all its inputs, and the penalty asks for the pictures' alone."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: _Hidden, bias: _Hidden, how: Any) -> Tensor:
        ctx.save_for_backward(images, weight.tensor)
        ctx.how = how
        return functional.conv2d(images, weight.tensor, bias.tensor, *how)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, weight = ctx.saved_tensors
        return _ImagesGradient.apply(gradient, weight, _Hidden(images), ctx.how), None, None, None


class _ImagesGradient(torch.autograd.Function):
    """The gradient of the pictures: linear in the gradient of the maps and in the weights."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, images: _Hidden, how: Any) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.how = how
        return _backward(gradient, images.tensor, weight, how, (True, False, False))[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tangent: Tensor) -> Any:
        gradient, weight = ctx.saved_tensors
        of_gradient = functional.conv2d(tangent, weight, None, *ctx.how)
        of_weight = _backward(gradient, tangent, weight, ctx.how, (False, True, False))[1]
        return of_gradient, of_weight, None, None


class _OfWeights(torch.autograd.Function):
    """Nothing to add to the maps, and the gradients of weights and biases."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, images: _Hidden, shape: Any, how: Any) -> Tensor:
        ctx.save_for_backward(images.tensor, weight)
        ctx.how, ctx.biased = how, bias is not None
        return weight.new_empty(()).expand(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, weight = ctx.saved_tensors
        _, of_weight, of_bias = _backward(gradient, images, weight, ctx.how, (False, True, ctx.biased))
        return of_weight, of_bias, None, None, None


class _Joined(torch.autograd.Function):
    """The maps themselves, with both ways back."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, share: Tensor) -> Tensor:
        ctx.mark_dirty(maps)
        return maps

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient, gradient


class _Leaky(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, slope: float) -> Tensor:
        functional.leaky_relu_(maps, slope)
        ctx.mark_dirty(maps)
        ctx.save_for_backward(maps)
        ctx.slope = slope
        return maps

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (leaked,) = ctx.saved_tensors
        return _LeakyGradient.apply(gradient, _Hidden(leaked), ctx.slope), None


class _LeakyGradient(torch.autograd.Function):
    """Linear in the gradient; its derivative by the maps is zero but where they change sign."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, leaked: _Hidden, slope: float) -> Tensor:
        ctx.save_for_backward(leaked.tensor)
        ctx.slope = slope
        return torch.ops.aten.leaky_relu_backward(gradient, leaked.tensor, slope, True)

    @staticmethod
    def backward(ctx: Any, tangent: Tensor) -> Any:
        (leaked,) = ctx.saved_tensors
        return _LeakyGradient.apply(tangent, _Hidden(leaked), ctx.slope), None, None


def _backward(gradient: Tensor, images: Tensor, weight: Tensor, how: Any, mask: tuple[bool, bool, bool]) -> Any:
    stride, padding = how
    return torch.ops.aten.convolution_backward(
        gradient, images, weight, [len(weight)], stride, padding, (1, 1), False, (0, 0), 1, mask
    )
