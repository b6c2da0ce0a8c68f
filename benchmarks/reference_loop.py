"""The loop that a user would write today for WGAN-GP on a folder of photographs, as published code has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class Photographs(Dataset[tuple[Tensor, int]]):
    """JPEG files of `root/<label>/`, decoded when they are asked for."""

    def __init__(self, root: Path, size: int) -> None:
        labels = sorted(folder.name for folder in root.iterdir())
        self.files = [(path, labels.index(path.parent.name)) for path in sorted(root.glob("*/*.jpg"))]
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * 3, (0.5,) * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        with Image.open(path) as picture:
            return self.transform(picture.convert("RGB")), label


class ReferenceLoop:
    """WGAN-GP: 5 critic steps, then a generator step."""

    def __init__(
        self, generator: nn.Module, critic: nn.Module, root: Path, size: int, batch: int, workers: int, device: str
    ) -> None:
        self.generator, self.critic, self.device = generator.to(device), critic.to(device), device
        self.optimiser_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
        self.optimiser_d = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.0, 0.9))
        self.loader = DataLoader(
            Photographs(root, size),
            batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        self.batches = self._forever()

    def _forever(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def penalty(self, real: Tensor, fake: Tensor, label: Tensor) -> Tensor:
        alpha = torch.rand(len(real), 1, 1, 1, device=self.device)
        mix = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        scores = self.critic(mix, label)
        gradient = torch.autograd.grad(
            outputs=scores,
            inputs=mix,
            grad_outputs=torch.ones_like(scores),
            create_graph=True,
            retain_graph=True,
        )[0]
        return ((gradient.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()

    def step(self) -> float:
        """One generator step with its critic steps: seconds."""
        started = time.perf_counter()
        for _ in range(5):
            real, label = next(self.batches)
            real, label = real.to(self.device), label.to(self.device)
            noise = torch.randn(len(real), self.generator.latent_size, device=self.device)
            fake = self.generator(noise, label).detach()
            self.optimiser_d.zero_grad()
            loss = self.critic(fake, label).mean() - self.critic(real, label).mean()
            (loss + 10 * self.penalty(real, fake, label)).backward()
            self.optimiser_d.step()
        self.optimiser_g.zero_grad()
        noise = torch.randn(len(real), self.generator.latent_size, device=self.device)
        loss = -self.critic(self.generator(noise, label), label).mean()
        loss.backward()
        self.optimiser_g.step()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started
