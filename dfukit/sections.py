"""The settings of a run that belong to no component, in sections: [run], [data], [gan] and so on."""

from __future__ import annotations

from attrs import frozen

from dfukit import settings as s
from dfukit.errors import ConfigError


@frozen
class RunSettings:
    """Where and how a run computes."""

    seed: int = s.whole(0, "seed of everything random", low=0, high=2**31 - 1)
    device: str = s.text("auto", "auto, cpu, cuda, cuda:1, mps")
    precision: str = s.choice("auto", ("auto", "fp32", "bf16"), "bf16 where the hardware is fast at it, else fp32")
    threads: int = s.whole(0, "CPU threads; 0 leaves it to torch", low=0)
    graphs: bool = s.flag(True, "on a GPU, replay training steps as CUDA graphs where all components allow it")


@frozen
class DataSettings:
    """Which pictures, whose, and how they are fitted and split."""

    path: str = s.text("", "folder of pictures; empty: the built-in phantom set")
    positive: str = s.text("", "name of the positive class; empty: `infected` where it exists")
    patients: str = s.text("", "csv with path,patient (a column `group` is read as patient)")
    patient_pattern: str = s.text("", "regular expression on the path; its first group is the patient")
    fit: str = s.choice("crop", ("crop", "pad", "stretch"), "how a picture becomes a square")
    train: float = s.real(0.70, "share of the patients in the training part", above=0.0, high=1.0)
    validation: float = s.real(
        0.15, "share of the patients in the validation part; the rest is the test part", above=0.0, high=1.0
    )
    split_seed: int = s.whole(0, "seed of the split, apart from the run's so that runs can be compared", low=0)
    max_megapixels: float = s.real(179.0, "larger pictures are excluded", above=0.0)
    seconds_per_picture: float = s.real(20.0, "a picture that takes longer to decode is excluded", above=0.0)
    phantom_patients: int = s.whole(120, "patients of the phantom set", low=6, high=100_000)
    phantom_pictures: int = s.whole(3, "pictures for each phantom patient", low=1, high=100)


@frozen
class GanSettings:
    """The adversarial loop."""

    size: int = s.whole(
        128, "width of the pictures it makes; photographs are held at 256: beyond, no more detail", low=8, high=1024
    )
    batch_size: int = s.whole(64, "pictures in a step", low=2)
    epochs: int = s.whole(
        200, "epochs at most; an epoch is one generator step for each batch in the training part", low=1
    )
    steps: int = s.whole(0, "generator steps; 0: as many as the epochs make", low=0)
    budget: str = s.duration("", "time to train, such as 30m or 8h: becomes steps once, after a short measurement")
    start_from: str = s.text("", "a run whose generator and critic are the first weights")
    lr_generator: float = s.real(1e-4, "learning rate of the generator (Adam)", above=0.0, high=1.0)
    lr_critic: float = s.real(2e-4, "learning rate of the critic (Adam)", above=0.0, high=1.0)
    lr_schedule: str = s.choice(
        "constant", ("constant", "linear", "cosine"), "how both learning rates fall until the last step"
    )
    beta1: float = s.real(0.0, "Adam's first decay rate", low=0.0, high=0.9999)
    beta2: float = s.real(0.9, "Adam's second decay rate", low=0.0, high=0.99999)
    flips: bool = s.flag(False, "mirror half of the real pictures, drawn anew each time")
    ema: float = s.real(0.999, "decay of the averaged generator for each step; 0: none", low=0.0, high=0.99999)
    evaluate_every: int = s.whole(0, "steps between evaluations; 0: an epoch, but at least 20 steps", low=0)
    evaluate_pictures: int = s.whole(256, "pictures drawn for an evaluation; 64, those of the grid, at least", low=10)
    patience: int = s.whole(
        10, "evaluations without a better distance to the validation part before it stops; 0: never", low=0
    )
    extractor: str = s.text(
        "auto",
        "extractor of the stopping distance, which reads at most 2,000 pictures of the validation part; auto: "
        "inception where it is stored, else r64",
    )


@frozen
class SampleSettings:
    """The synthetic set that a run makes."""

    count: int = s.whole(0, "synthetic pictures; 0: as many as there are training pictures", low=0)
    truncation: float = s.real(
        1.0, "factor on the latents: below 1 the pictures are more usual, and more alike", above=0.0, high=1.0
    )


@frozen
class ScoreSettings:
    """How the synthetic set is scored."""

    metrics: tuple[str, ...] = s.names(
        (
            "inception_score",
            "fid",
            "kid",
            "precision",
            "recall",
            "density",
            "coverage",
            "psnr",
            "ssim",
            "copies",
        ),
        "metrics of the report",
    )
    extractor: str = s.text("auto", "extractor of kd and fd where the Inception weights cannot be had")
    pictures: int = s.whole(5000, "pictures of each set that are scored, at most", low=10)


@frozen
class ClassifySettings:
    """Training of the classifier."""

    batch_size: int = s.whole(32, "pictures in a step", low=2)
    epochs: int = s.whole(100, "epochs at most", low=1)
    steps: int = s.whole(0, "steps at most; 0: as many as the epochs make", low=0)
    lr: float = s.real(3e-4, "learning rate (AdamW)", above=0.0, high=1.0)
    weight_decay: float = s.real(1e-2, "weight decay (AdamW)", low=0.0, high=10.0)
    patience: int = s.whole(15, "epochs without a lower validation loss before it stops; 0: never", low=0)
    synthetic_ratio: float = s.real(
        1.0, "synthetic pictures for each real one in the arm real+synthetic", low=0.0, high=100.0
    )
    bootstrap: int = s.whole(1000, "resamples behind the intervals", low=100, high=100_000)
    target_sensitivity: float = s.real(
        0.9, "sensitivity that the operating point reaches on the validation part", above=0.0, high=1.0
    )
    prevalence: float = s.real(
        0.0, "share of positive pictures at which PPV and NPV are stated; 0: the test part's own", low=0.0, high=0.999
    )

    def synthetic_in_a_step(self, ratio: float) -> int:
        """How many pictures of a step are synthetic, at `ratio` (above 0) for each real one.

        Raises ConfigError where so few fit into a step that it would have none of them, or no real one.
        """
        count = round(self.batch_size * ratio / (1 + ratio))
        if not 0 < count < self.batch_size:
            most = self.batch_size - 1
            raise ConfigError(
                f"{ratio:g} synthetic pictures for each real one do not fit into steps of {self.batch_size} pictures "
                f"(classify.batch_size), which hold from {1 / most:.2g} to {most}"
            )
        return count


@frozen
class LiftSettings:
    """The experiment whether synthetic pictures help (`dfukit lift`)."""

    folds: int = s.whole(5, "parts that the patients are dealt into; each is the test part once", low=2, high=100)
    seeds: int = s.whole(3, "trainings of each arm in each fold", low=1, high=100)
    ratio: float = s.real(
        1.0, "synthetic pictures for each real one in the arm that the answer is about", above=0.0, high=100.0
    )
    exploratory: tuple[str, ...] = s.names((), "further ratios, looked at without an answer")
    arms: tuple[str, ...] = s.names(
        ("real+augmentation", "synthetic"), "arms beside real and real+synthetic, of: real+augmentation, synthetic"
    )
    steps: int = s.whole(0, "steps of each training; 0: as many as [classify] gives the arm real", low=0)
    size: int = s.whole(
        0,
        "width of all pictures with --synthetic; 0: that of the smaller ones of both sets, at most 256",
        low=0,
        high=256,
    )
    training_share: float = s.real(
        1.0, "share of each fold's training patients that is used: would it help with fewer?", above=0.0, high=1.0
    )
    validation: float = s.real(
        0.2, "share of the patients outside the test part for calibration and stopping", above=0.0, high=0.5
    )
    margin: float = s.real(0.03, "difference of AUROC that would be worth nothing", above=0.0, high=0.5)
    specificity: float = s.real(0.9, "specificity at which recall is read", above=0.0, high=0.999)
    max_set_aside: float = s.real(
        0.1, "share of a synthetic set up to which pictures unlike their label are set aside", low=0.0, high=1.0
    )
    bootstrap: int = s.whole(1000, "resamples of the patients behind the intervals", low=100, high=100_000)


@frozen
class ReleaseSettings:
    """What a synthetic set must hold before it may leave; the audit `copies` measures it."""

    max_copies: float = s.real(0.05, "share of pictures that may have been flagged as copies", low=0.0, high=1.0)
    min_power: float = s.real(0.8, "share of planted copies that the audit must find", low=0.0, high=1.0)
    min_nearest_ratio: float = s.real(
        0.8, "how much nearer to training than to held-out pictures it may lie; 1: no nearer", low=0.0, high=1.0
    )


@frozen
class ReportSettings:
    """The report and the model card."""

    share: bool = s.flag(False, "leave out real pixels, file names, paths and host")
    title: str = s.text("", "heading of the report; empty: the run's name")
    licence: str = s.text("", "licence, consent and ethics approval of the pictures: the model card prints it as given")


SECTIONS: dict[str, type] = {
    "run": RunSettings,
    "data": DataSettings,
    "gan": GanSettings,
    "sample": SampleSettings,
    "score": ScoreSettings,
    "classify": ClassifySettings,
    "lift": LiftSettings,
    "release": ReleaseSettings,
    "report": ReportSettings,
}
