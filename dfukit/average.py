"""The averaged generator: an exponential moving average of the weights, with batch-norm statistics of its own."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Network = TypeVar("Network", bound=nn.Module)


def begin(network: Network) -> Network:
    """A copy to be moved, without gradients and in eval mode: it draws, and is not trained."""
    average = copy.deepcopy(network).requires_grad_(False).eval()
    for module in average.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()  # copying puts its weights apart, of which cuDNN complains at each call
    return average


@torch.no_grad()
def move(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * network; buffers are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    if buffers := list(average.buffers()):
        torch._foreach_copy_(buffers, list(network.buffers()))


@torch.no_grad()
def recompute_batch_norm(generator: nn.Module, latent: Tensor, label: Tensor, batch: int = 64) -> None:
    """Statistics of averaged weights are not the average of statistics: take them anew from fixed latents.

    At most `batch` latents are looked at together, in parts alike in size. Everything but the batch norms is in eval
    mode meanwhile. Leaves the generator in eval mode.
    """
    norms = [module for module in generator.modules() if isinstance(module, _BatchNorm)]
    generator.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the parts, however small one is
        norm.train()
    try:
        if norms:
            parts = -(-len(latent) // batch)
            for some_latent, some_label in zip(latent.tensor_split(parts), label.tensor_split(parts), strict=True):
                generator(some_latent, some_label)
    finally:  # memory may end, and smaller parts be tried
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
