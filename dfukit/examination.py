"""What an evaluation of a GAN measures: its pictures of fixed latents, and how far the critic overfits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from dfukit import average
from dfukit.device import Compute
from dfukit.drawn import GRID, grid, to_uint8
from dfukit.interfaces import Critic, Generator, of_pictures
from dfukit.portions import Portions
from dfukit.resident import DevicePictures
from dfukit.scoring import StoppingDistance
from dfukit.world import World

BATCH = 64
"""Pictures drawn or judged at a time."""


@frozen(eq=False)
class Looked:
    """What an evaluation measures."""

    values: dict[str, float]
    distance: float | None
    error: float
    grid: np.ndarray
    """uint8 [H, W, C]"""


@frozen(eq=False)
class Examination:
    """Looks at networks by the same latents each time, all processes at their shares of the pictures."""

    training: DevicePictures
    validation: DevicePictures
    classes: int
    latent: Tensor
    """[M, latent_size]"""
    label: Tensor
    """[M], of the latents."""
    distance: StoppingDistance | None
    """None where there are too few validation pictures."""
    compute: Compute
    portions: Portions
    world: World

    @torch.no_grad()
    def look(self, generator: Generator, critic: Critic) -> Looked:
        """Leaves the generator in eval mode, its batch-norm statistics recomputed, and the critic in train mode."""
        critic.eval()
        try:
            self.portions.attempt(
                lambda: average.recompute_batch_norm(generator, self.latent, self.label, self.portions.size)
            )
            fake = self._draw(generator, self.latent, self.label)
            values = {"diversity": self._diversity(fake), "critic_overfitting": self._overfitting(critic, fake)}
            distance, error = None, 0.0
            if self.distance is not None:
                distance, error = self.distance.measure(fake.permute(0, 2, 3, 1).cpu().numpy())
            # 64 pictures of the fixed latents, a class a row in turn.
            label = (torch.arange(GRID * GRID, device=self.label.device) // GRID) % self.classes
            shown = self._draw(generator, self.latent[: GRID * GRID], label)
        finally:
            critic.train()
        return Looked(values, distance, error, grid(shown.permute(0, 2, 3, 1).cpu().numpy()))

    def _draw(self, generator: Generator, latent: Tensor, label: Tensor) -> Tensor:
        """uint8 [N, C, S, S]."""

        def draw(rows: slice) -> Tensor:
            with self.compute.autocast():
                return to_uint8(generator(latent[rows], label[rows]).float())

        return self._each(len(latent), draw)

    def _each(self, n: int, compute: Callable[[slice], Tensor]) -> Tensor:
        """`compute` of all rows, by all processes, in portions."""

        def share(mine: range) -> Tensor:
            return torch.cat([compute(slice(rows.start, rows.stop)) for rows in self.portions.of(mine)])

        # What one process alone cannot hold is tried again before all put their shares together.
        return self.world.each(n, lambda mine: self.portions.attempt(lambda: share(mine)))

    def _diversity(self, fake: Tensor) -> float:
        """Mean root-mean-square difference of two pictures of the fixed batch, in grey levels."""
        small = torch.nn.functional.adaptive_avg_pool2d(fake.float(), 16).flatten(1)
        distances = torch.nn.functional.pdist(small) / small.shape[1] ** 0.5
        return float(distances.mean())

    def _overfitting(self, critic: Critic, fake: Tensor) -> float:
        """(E[D(train)] - E[D(validation)]) / (E[D(train)] - E[D(fake)]).

        0 where there is no validation part, or while the critic cannot tell training pictures from fakes. A critic with
        batch norm scores by the statistics of a batch, as in training: those that it keeps are of real and fake
        pictures together, by which it never scored.
        """
        n = min(len(self.validation), len(self.training), 256)
        if not critic.per_picture and n > self.portions.size:
            n -= n % self.portions.size  # a last portion of one picture has no statistics
        if n < 2:
            return 0.0
        # Evenly spaced, then mixed: pictures are in the order of their paths, and so of their classes.
        mixed = torch.randperm(n, generator=torch.Generator().manual_seed(0))
        some, others = (torch.linspace(0, len(part) - 1, n).long()[mixed] for part in (self.training, self.validation))
        kept = [buffer.clone() for buffer in critic.buffers()]
        critic.train(not critic.per_picture)
        train = self._scores(critic, *self.training.take(some))
        held_out = self._scores(critic, *self.validation.take(others))
        made = self._scores(critic, fake[:n], self.label[:n])
        for buffer, before in zip(critic.buffers(), kept, strict=True):
            buffer.copy_(before)
        gap = float(train.mean() - made.mean())
        if gap < 3 * float((train.var() / n + made.var() / len(made)).sqrt()):
            return 0.0
        return float(train.mean() - held_out.mean()) / gap

    def _scores(self, critic: Critic, images: Tensor, label: Tensor) -> Tensor:
        def score(rows: slice) -> Tensor:
            with self.compute.autocast():
                scores = of_pictures(critic(images[rows].float() / 127.5 - 1, label[rows]))
            return scores.float()

        return self._each(len(images), score)
