"""From what is known of patients to the groups that a split keeps together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfukit.images.index import USED, Index
from dfukit.images.texts import Texts


def group(index: Index, near: np.ndarray) -> tuple[np.ndarray, Sequence[str], bool]:
    """Groups int64 [N], the patients they count into, and whether every picture's patient is known.

    A picture without a patient belongs to the patient that it is a near-duplicate of (`near`, clusters [N]), else to
    a group of its cluster, which is named after the cluster's first picture.
    """
    of_cluster: dict[int, str] = {}
    query = f"SELECT patient, path FROM {USED} ORDER BY path"
    known = True
    for cluster, (patient, _) in zip(near, index.rows(query), strict=True):
        known = known and bool(patient)
        if patient:
            of_cluster.setdefault(int(cluster), patient)
    numbers: dict[str, int] = {}
    groups = np.empty(len(near), np.int64)
    for i, (patient, path) in enumerate(index.rows(query)):
        owner = patient or of_cluster.setdefault(int(near[i]), f"unknown, like {path}")
        groups[i] = numbers.setdefault(owner, len(numbers))
    return groups, Texts(numbers), known
