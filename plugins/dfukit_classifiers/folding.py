"""Convolutions that do their batch norm's work: the same function in eval mode, in fewer passes over the map."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

CLOSE = 1e-3
"""Of the largest feature: how far a folded network may be off on a probe. What went wrong is off by far more."""


def folded(network: nn.Module, probe: Tensor) -> nn.Module:
    """A copy of a network in eval mode with each batch norm in the convolution right before it.

    Which one that is shows a pass over the probe [N, C, H, W]. Where the copy does not give the same on the probe (a
    convolution whose output somebody else reads as well), the network itself comes back.
    """
    lean = copy.deepcopy(network)
    with torch.no_grad():
        for convolution, norm in _pairs(lean, probe):
            _fold(convolution, norm)
            _replace(lean, norm, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())
        expected, found = network(probe), lean(probe)
    return lean if bool((found - expected).abs().max() <= CLOSE * expected.abs().max()) else network


def _pairs(network: nn.Module, probe: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the batch norms that read what they put out, each of them called once."""
    made: list[tuple[Tensor, nn.Conv2d]] = []  # the tensors are held, so that no other takes their place in memory
    read: list[tuple[Tensor, nn.BatchNorm2d]] = []
    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(lambda conv, _, output: made.append((output, conv))))
        elif type(module) in (nn.BatchNorm2d, BatchNormAct2d) and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(lambda norm, inputs: read.append((inputs[0], norm))))
    network(probe)
    for hook in hooks:
        hook.remove()
    calls = Counter([module for _, module in made] + [module for _, module in read])
    of = {id(output): convolution for output, convolution in made}
    pairs = [(of[id(values)], norm) for values, norm in read if id(values) in of]
    return [(convolution, norm) for convolution, norm in pairs if calls[convolution] == calls[norm] == 1]


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In float64: a thousand products of float32 factors would be off by as much as they are worth.
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double()
    if convolution.bias is not None:
        shift = shift + convolution.bias.double()
    if norm.affine:
        factor = factor * norm.weight.double()
    shift = shift * factor + (norm.bias.double() if norm.affine else 0)
    weight = convolution.weight
    convolution.weight = nn.Parameter((weight.double() * factor.view(-1, 1, 1, 1)).to(weight.dtype), False)
    convolution.bias = nn.Parameter(shift.to(weight.dtype), False)


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    name = next(name for name, module in network.named_modules() if module is old)
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)
