"""Train on a folder (or on the phantom set), then use what came out, without the command line.

python examples/train_and_use.py [FOLDER] [OUT] [PRESET]
"""

from __future__ import annotations

import sys
from pathlib import Path

import dfukit


def main(folder: str = "", out: str = "runs", preset: str = "demo") -> None:
    run = dfukit.run(folder, preset=preset, generator="lstm_wgan", classifier="critic_lstm", out=out)
    print("run folder", run.path)

    # Every figure comes with its n and what is needed to read it.
    for name, score in run.scores.items():
        print(name, score["value"], "n", score["n"], "real vs real", score["real_vs_real"])

    # New pictures of one class.
    generator = dfukit.load_generator(run.path)
    label = generator.image.classes[0]
    samples = generator.sample(8, label=label, seed=1)
    samples.save(Path(out) / "eight_more")
    print(len(samples), "pictures of", label, "in", Path(out) / "eight_more")

    # A classifier's calibrated score of pictures: a model's score, not a patient's risk.
    classifier = dfukit.load_classifier(run.path)
    for prediction in classifier.predict(samples.pictures()[:2]):
        print(prediction.positive, f"{prediction.score:.3f}", f"{prediction.milliseconds:.0f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
