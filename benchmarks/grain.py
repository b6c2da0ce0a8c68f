"""The grain of an untrained `fastgan`, by its setting `grain` and with independent first weights, and of photographs.

python benchmarks/grain.py [FOLDER]: mean size of the Laplacian of the grey levels, their standard deviation, the ratio.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dfukit import ImageSpec, average, registry

SIZE, WIDTH, DRAWN = 128, 16, 32


def grain(grey: np.ndarray) -> str:
    """Of pictures [N, S, S] in grey levels."""
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    laplacian = float(np.abs(4 * grey[:, 1:-1, 1:-1] - around).mean())
    return f"{laplacian:.1f} {grey.std():.1f} {laplacian / grey.std():.2f}"


@torch.no_grad()
def drawn(grain: float, independent: bool = False) -> np.ndarray:
    torch.manual_seed(0)
    chosen = registry.load().choose("generator", "fastgan", {"width": WIDTH, "grain": grain})
    generator = chosen.build(ImageSpec(SIZE, 3, ("all",), None))
    for module in generator.modules():
        if independent and isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, 0.0, 0.02)
    latent, label = torch.randn(DRAWN, generator.latent_size), torch.zeros(DRAWN, dtype=torch.int64)
    average.recompute_batch_norm(generator, latent, label)
    return ((generator(latent, label) + 1) * 127.5).mean(1).numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        files = sorted(Path(sys.argv[1]).glob("*.jpg"))[:64]
        pictures = [Image.open(file).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC) for file in files]
        print("photographs", grain(np.stack([np.asarray(picture, float).mean(2) for picture in pictures])))
    print("independent weights", grain(drawn(1.0, independent=True)))
    for setting in (0.0, 0.3, 1.0, 2.0, 4.0):
        print(f"generator.grain={setting}", grain(drawn(setting)))
