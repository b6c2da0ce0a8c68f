"""Score a folder of synthetic pictures, from whatever program, against a folder of real ones.

python examples/score_two_folders.py REAL SYNTHETIC
"""

from __future__ import annotations

import sys

import dfukit


def main(real: str, synthetic: str) -> None:
    scores = dfukit.score(real, synthetic, metrics=["kd", "fd", "psnr", "ssim"])
    for name, score in scores.items():
        value = "not had: " + score["reason"] if score["value"] is None else f"{score['value']:.4g}"
        print(name, value, "| real vs real", score["real_vs_real"], "| n", score["n"])


if __name__ == "__main__":
    main(*sys.argv[1:])
