"""The names and formulas of what a run measures, in one place."""

import numpy as np
from numpy.typing import NDArray

EPOCH = "epoch"
TRAIN_LOSS = "train/loss"
VAL_LOSS = "val/loss"
VAL_ACCURACY = "val/accuracy"
VAL_JACCARD = "val/jaccard"
VAL_HAMMING = "val/hamming"
IMAGES_PER_S = "train/images_per_s"
ELAPSED_S = "train/elapsed_s"

LOGGED = (
    EPOCH,
    TRAIN_LOSS,
    VAL_LOSS,
    VAL_ACCURACY,
    VAL_JACCARD,
    VAL_HAMMING,
    IMAGES_PER_S,
    ELAPSED_S,
)
"""Everything logged once an epoch, and so everything a sweep can optimise."""

MAXIMIZED = (VAL_ACCURACY, VAL_JACCARD)
MINIMIZED = (TRAIN_LOSS, VAL_LOSS, VAL_HAMMING)
"""The direction in which each is better."""

Labels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]


def decide(probabilities: Probabilities, exclusive: bool) -> Labels:
    """Turn probabilities (N, L) in [0, 1] into label vectors (N, L) of 0 and 1.

    Args:
        probabilities: One row an image, one column a label.
        exclusive: Exactly one label holds (single-label: the likeliest is taken); otherwise
            each label holds where its probability is at least 0.5.
    """
    if not exclusive:
        return (probabilities >= 0.5).astype(np.uint8)
    decided = np.zeros(probabilities.shape, dtype=np.uint8)
    decided[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = 1
    return decided


def accuracy(truth: Labels, predicted: Labels) -> float:
    """Share of images whose whole label vector (N, L) is right: exact match."""
    return float((truth == predicted).all(axis=1).mean())


def jaccard(truth: Labels, predicted: Labels) -> float:
    """Mean over images of |truth and predicted| / |truth or predicted|; 0 where both are empty.

    Two empty vectors count as 0, as in scikit-learn's `jaccard_score(average="samples",
    zero_division=0)`: no image of this data is without a label.
    """
    shared = (truth & predicted).sum(axis=1)
    either = (truth | predicted).sum(axis=1)
    return float((shared / np.maximum(either, 1)).mean())


def hamming(truth: Labels, predicted: Labels) -> float:
    """Share of labels that are wrong, over all images and labels (Hamming loss)."""
    return float((truth != predicted).mean())


def log_loss(truth: Labels, probabilities: Probabilities, exclusive: bool) -> float:
    """Mean cross-entropy in nats: per image if exclusive, else per image and label (binary)."""
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    if exclusive:
        return float(-np.log((p * truth).sum(axis=1)).mean())
    return float(-np.where(truth == 1, np.log(p), np.log1p(-p)).mean())
