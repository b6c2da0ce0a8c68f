"""A quickly trained classifier in a run folder, on phantoms that lie in a folder like photographs."""

from __future__ import annotations

from pathlib import Path

import torch

from dfukit import config, images, phantom, registry, rundir
from dfukit.classify import compare_arms
from dfukit.component import ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.images import ImageSet, Split
from dfukit.interfaces import Critic
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.weights import Description

CPU = Compute(torch.device("cpu"), bf16=False)
CLASSIFIER = {
    "name": "timm_lstm",
    "backbone": "resnet10t.c3_in1k",
    "pretrained": "false",
    "input_size": 32,
    "lstm_hidden": 16,
}


class Clinic:
    """Photographs of a clinic and the run on them, as far as a classifier needs it."""

    def __init__(self, folder: Path) -> None:
        self.photographs = folder / "clinic"
        phantom.write_folder(self.photographs, patients=40, pictures=2, seed=0, size=64)
        flags = {
            "classifier": CLASSIFIER,
            "critic": {"width": 4},
            "gan": {"size": 32},
            "data": {"path": str(self.photographs)},
        }
        self.config: RunConfig = config.resolve(registry.load(), preset="smoke", flags=flags)
        self.images: ImageSet = images.load(self.config.data)
        self.split: Split = images.make_split(self.images, self.config.data)
        self.image = ImageSpec(self.config.gan.size, 3, self.images.classes, self.images.positive)
        self.critic_description = Description(self.config.critic, self.image)
        self.run = self.train(folder / "runs", "judged")

    def train(self, runs: Path, name: str, seed: int = 0) -> RunDir:
        """A run folder with the classifier and what an evaluation reads beside it."""
        run = rundir.create(runs, name, ())
        rundir.write_toml(run.config, self.config.as_table())
        images.write_split(run.split, self.images, self.split)
        torch.manual_seed(seed)
        critic = self.critic_description.build()
        assert isinstance(critic, Critic)
        described = self.critic_description
        compare_arms(
            self.config, run, CPU, self.images, self.split, self.image, None, critic, described, Silent(), "run"
        )
        return run
