"""What an adversarial loss must hold."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dfukit.interfaces import Batch, Loss, Step
from dfukit.testing.suite import Suite, require, require_shape

N = 16
SIDE = 4
"""Width of the toy pair's pictures."""
DATA = 0.5
"""Grey level in [-1, 1] around which the toy data lies; the toy generator begins at -DATA."""
STEPS = 150


class _ToyGenerator(nn.Module):
    """A grey level that is learnt, and noise."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.full((3, 1, 1), -DATA))

    def forward(self, latent: Tensor) -> Tensor:
        return self.level + 0.1 * latent


class _ToyCritic(nn.Module):
    """Scores [N], or [N, places] of several places."""

    def __init__(self, places: int = 1) -> None:
        super().__init__()
        layers = nn.Linear(3 * SIDE * SIDE, 32), nn.LeakyReLU(0.2), nn.Linear(32, places)
        self.body = nn.Sequential(nn.Flatten(), *layers)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        scores: Tensor = self.body(images)
        return scores[:, 0] if scores.shape[1] == 1 else scores


class LossSuite(Suite):
    """Finite terms that train a critic, and a generator through it."""

    kind: ClassVar[str] = "loss"
    interface: ClassVar[type] = Loss

    def pair(self, places: int = 1) -> tuple[_ToyGenerator, _ToyCritic]:
        torch.manual_seed(0)
        return _ToyGenerator().to(self.device), _ToyCritic(places).to(self.device)

    def batch(self, generator: nn.Module, step: Step) -> Batch:
        """Pictures [N, 3, SIDE, SIDE] of the toy data and of the toy generator."""
        rng = step.rng("toy")
        real = DATA + 0.1 * torch.randn(N, 3, SIDE, SIDE, generator=rng)
        latent = torch.randn(N, 3, SIDE, SIDE, generator=rng)
        return Batch(real.to(self.device), generator(latent.to(self.device)), self.labels(N))

    def critic_terms(self, loss: Any, generator: nn.Module, critic: nn.Module, step: Step) -> dict[str, Tensor]:
        critic.requires_grad_(True)
        with torch.no_grad():
            batch = self.batch(generator, step)
        terms: dict[str, Tensor] = loss.critic(critic, batch, step)
        return terms

    def generator_terms(self, loss: Any, generator: nn.Module, critic: nn.Module, step: Step) -> dict[str, Tensor]:
        critic.requires_grad_(False)
        terms: dict[str, Tensor] = loss.generator(critic, self.batch(generator, step), step)
        return terms

    def test_critic_steps_are_a_positive_number(self) -> None:
        steps = self.build().critic_steps
        require(isinstance(steps, int) and steps >= 1, f"critic_steps must be at least 1, got {steps!r}")

    def require_terms(self, places: int = 1) -> None:
        loss, (generator, critic) = self.build(), self.pair(places)
        of = f" of scores [N, {places}]" if places > 1 else ""
        for player, make in (("critic", self.critic_terms), ("generator", self.generator_terms)):
            terms = make(loss, generator, critic, self.step())
            require("loss" in terms, f'the {player}\'s terms lack "loss": {", ".join(terms) or "none"}')
            require(terms["loss"].requires_grad, f"the {player}'s loss carries no gradient")
            for name, values in terms.items():
                shape = (N,) if name in ("real", "fake") else ()
                require_shape(values, shape, f'the {player}\'s term "{name}"{of}')

    def test_terms_are_finite_scalars(self) -> None:
        self.require_terms()

    def test_a_critic_may_score_several_places(self) -> None:
        self.require_terms(places=3)

    def test_it_says_that_it_takes_gradients_of_single_scores(self) -> None:
        loss, (generator, critic) = self.build(), self.pair()
        followed: list[bool] = []
        critic.body.register_forward_pre_hook(lambda _, given: followed.append(given[0].requires_grad))
        self.critic_terms(loss, generator, critic, self.step())
        require(
            loss.per_picture or not any(followed),
            "the critic's step takes gradients by its pictures, which batch statistics in a critic would falsify: "
            "say `per_picture = True`",
        )

    def test_the_critic_step_leaves_its_batch_as_it_was(self) -> None:
        loss, (generator, critic) = self.build(), self.pair()
        with torch.no_grad():
            batch = self.batch(generator, self.step())
        real, fake = batch.real.clone(), batch.fake.clone()
        loss.critic(critic, batch, self.step())
        same = torch.equal(real, batch.real) and torch.equal(fake, batch.fake)
        require(same and not batch.fake.requires_grad, "the critic's step changes the pictures of its batch in place")

    def test_the_critic_step_gives_the_critic_gradients(self) -> None:
        loss, (generator, critic) = self.build(), self.pair()
        self.critic_terms(loss, generator, critic, self.step())["loss"].backward()  # type: ignore[no-untyped-call]
        require(any(p.grad is not None for p in critic.parameters()), "the critic's step gives the critic no gradients")

    def test_the_generator_step_gives_the_generator_gradients(self) -> None:
        loss, (generator, critic) = self.build(), self.pair()
        self.generator_terms(loss, generator, critic, self.step())["loss"].backward()  # type: ignore[no-untyped-call]
        require(any(p.grad is not None for p in generator.parameters()), "the generator's step gives it no gradients")

    def test_the_same_step_gives_the_same_terms(self) -> None:
        loss, (generator, critic) = self.build(), self.pair()
        first, second = (self.critic_terms(loss, generator, critic, self.step())["loss"] for _ in range(2))
        require(torch.allclose(first, second), "a step's terms differ between calls: draw with step.rng(purpose)")

    def test_a_capturable_loss_follows_the_step(self) -> None:
        loss, (generator, critic) = self.build(), self.pair()
        if not loss.capturable:
            return
        batch = self.batch(generator, self.step())
        for player, make in (("critic", loss.critic), ("generator", loss.generator)):
            one, other = self.replayed(lambda step, make=make: make(critic, batch, step)["loss"], N)  # type: ignore[misc]
            require(
                torch.allclose(one, other, atol=1e-6),
                f"replayed, the {player}'s loss is that of another step: draw with step.uniform(), step.normal() or "
                "step.integers() and read step.progress alone, or say `capturable = False`",
            )

    def test_a_toy_pair_moves_towards_the_data(self) -> None:
        loss, (generator, critic) = self.build(), self.pair()
        generator_optimiser = torch.optim.Adam(generator.parameters(), 2e-2, (0.0, 0.9))
        critic_optimiser = torch.optim.Adam(critic.parameters(), 1e-2, (0.0, 0.9))
        before = (generator.level - DATA).abs().mean().item()
        best = before
        for index in range(STEPS):
            step = Step(0, index, index / STEPS)
            for repeat in range(loss.critic_steps):
                turn = step.turn(f"critic {repeat}")
                _descend(critic_optimiser, self.critic_terms(loss, generator, critic, turn))
            _descend(generator_optimiser, self.generator_terms(loss, generator, critic, step.turn("generator")))
            best = min(best, (generator.level - DATA).abs().mean().item())
        require(
            best < before / 2,
            f"in {STEPS} steps a toy generator came no nearer to its data than {best:.3g} (it began at {before:.3g})",
        )


def _descend(optimiser: torch.optim.Optimizer, terms: dict[str, Tensor]) -> None:
    optimiser.zero_grad()
    terms["loss"].backward()  # type: ignore[no-untyped-call]
    optimiser.step()
