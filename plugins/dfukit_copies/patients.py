"""Who is a stranger to whom: patients, joined where a photograph of the one is a near-duplicate of the other's."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from dfukit.images.duplicates import THUMBNAIL, clusters
from dfukit.images.resample import resize
from dfukit.interfaces import View
from dfukit_copies.alignment import BLOCK


@frozen(eq=False)
class Patients:
    """Groups of real pictures: pictures of two groups are no copies of each other.

    A photograph that is filed under two patients would pass for two strangers that are alike, and every copy for
    innocent.
    """

    training: np.ndarray
    """int64 [N]"""
    held_out: np.ndarray
    """int64 [H]; empty where there are no held-out pictures."""
    whom: str
    """What the groups are, in words."""
    shared: int
    """Pictures with a near-duplicate of another patient."""

    @classmethod
    def of(cls, real: View) -> Patients:
        """Those of a real view with pixels, and of its held-out pictures."""
        views = [real, *([real.held_out] if real.held_out is not None and real.held_out.pixels is not None else [])]
        alike = _alike(views)
        if any(view.groups is None for view in views):
            groups, whom, shared = alike, "near-duplicate groups", 0
        else:
            patients = np.unique(np.concatenate([view.groups for view in views]), return_inverse=True)[1].reshape(-1)
            groups, whom = _joined(patients, alike), "patients"
            pairs = np.unique(np.stack([alike, patients]), axis=1)
            shared = int((np.bincount(pairs[0])[alike] > 1).sum())
        return cls(groups[: real.n], groups[real.n :], whom, shared)


def _alike(views: list[View]) -> np.ndarray:
    """Numbers of near-duplicates; pictures that are not in colour are taken for different ones."""
    thumbnails = []
    for view in views:
        assert view.pixels is not None
        if view.pixels.shape[1] != 3:
            return np.arange(sum(view.n for view in views))
        for start in range(0, view.n, BLOCK):
            thumbnails.append(resize(view.pixels[start : start + BLOCK].transpose(0, 2, 3, 1), THUMBNAIL))
    return clusters(np.concatenate(thumbnails))


def _joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Numbers of the smallest groups that no number of either divides."""
    first = int(one.max()) + 1
    size = first + int(other.max()) + 1
    links = coo_matrix((np.ones(len(one)), (one, first + other)), shape=(size, size))
    return np.asarray(connected_components(links, directed=False)[1][one], np.int64)
