"""Hand synthetic pictures to another project's training, as a PyTorch data set, without writing a file.

python examples/draw_for_training.py RUN [COUNT]
"""

from __future__ import annotations

import sys

import torch
from torch.utils.data import DataLoader, TensorDataset

import dfukit


def synthetic(run: str, count: int) -> TensorDataset:
    """Pictures [N, 3, S, S] in [0, 1] and class indices [N], the classes as often as in the training part."""
    samples = dfukit.load_generator(run).sample(count, seed=1)
    pixels = torch.from_numpy(samples.pixels).permute(0, 3, 1, 2).float() / 255
    return TensorDataset(pixels, torch.from_numpy(samples.labels))


def main(run: str, count: str = "64") -> None:
    for pictures, labels in DataLoader(synthetic(run, int(count)), batch_size=32, shuffle=True):
        print("a batch for your network:", tuple(pictures.shape), "classes", labels.unique().tolist())


if __name__ == "__main__":
    main(*sys.argv[1:])
