"""scikit-learn's MLP as an engine: the named baseline, batch by batch like all others."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.neural_network import MLPClassifier

from bpsweep.agent.training.protocol import State, Weights
from bpsweep.data.ahead import make_ahead
from bpsweep.data.loader import Batch


class SklearnEngine:
    """scikit-learn's MLPClassifier on standardised pixels, one `partial_fit` a batch.

    A `partial_fit` of one batch is one step of its Adam, so that batches come as they do for
    torch and no epoch is ever held in memory as a whole.
    """

    def __init__(
        self,
        model: MLPClassifier,
        mean: NDArray[np.float32],
        scale: NDArray[np.float32],
        exclusive: bool,
    ) -> None:
        self._model = model
        self._mean = mean
        self._scale = scale
        self._exclusive = exclusive

    def fit_epoch(self, batches: Iterable[Batch]) -> float:
        """Learn from every batch once; return the mean training loss over the images."""
        # Our pixels are finite and our settings checked: scikit-learn need not look each step.
        with config_context(assume_finite=True, skip_parameter_validation=True):
            return self._fit_epoch(batches)

    def _fit_epoch(self, batches: Iterable[Batch]) -> float:
        loss_sum, n_images = 0.0, 0
        for pixels, labels in make_ahead(self._standardize(batch) for batch in batches):
            classes = np.arange(labels.shape[1])
            # class numbers (B,) where one label holds, else the matrix (B, L)
            targets = labels.argmax(axis=1) if self._exclusive else labels.astype(int)
            self._model.set_params(batch_size=len(pixels))  # the last one can be shorter
            self._model.partial_fit(pixels, targets, classes=classes)
            loss_sum += float(self._model.loss_) * len(pixels)
            n_images += len(pixels)
        # scikit-learn sums the loss over labels; torch, and our validation loss, take the mean
        n_outputs = 1 if self._exclusive else labels.shape[1]
        return loss_sum / n_images / n_outputs

    def _standardize(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give standardised pixels (B, S*S) and labels (B, L) of a batch."""
        pixels = batch.images.reshape(len(batch.images), -1) - self._mean
        pixels /= self._scale
        return pixels, batch.labels

    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""
        with config_context(assume_finite=True):
            standard = make_ahead(self._standardize(batch) for batch in batches)
            outputs = [self._model.predict_proba(pixels) for pixels, _ in standard]
        return np.concatenate(outputs).astype(np.float32)

    def weights(self) -> Weights:
        """Return a copy of every weight matrix (in, out), bias, and the pixel statistics."""
        arrays: Weights = {"pixel_mean": self._mean, "pixel_scale": self._scale}
        for i, (matrix, bias) in enumerate(
            zip(self._model.coefs_, self._model.intercepts_, strict=True)
        ):
            arrays[f"layers.{i}.weight"] = matrix.astype(np.float32)
            arrays[f"layers.{i}.bias"] = bias.astype(np.float32)
        return arrays

    def state(self) -> State:
        """Return a copy of all that the next epoch goes on from; its generator begins each step."""
        state: State = {
            "step": np.array(self._model._optimizer.t),
            "n_labels": np.array(len(self._model.classes_)),
        }
        for kind, arrays in self._list_arrays().items():
            state.update({f"{kind}/{i}": array.copy() for i, array in enumerate(arrays)})
        return state

    def restore(self, state: State) -> None:
        """Go on from a state.

        Raises:
            KeyError, ValueError: It is not of this model.
        """
        lay_out(self._model, self._mean.size, int(state["n_labels"]), self._exclusive)
        self._model._optimizer.t = int(state["step"])
        for kind, arrays in self._list_arrays().items():
            for i, array in enumerate(arrays):
                array[...] = state[f"{kind}/{i}"]

    def _list_arrays(self) -> dict[str, list[NDArray[np.float32]]]:
        """Give the model's own arrays: weights, biases, and Adam's moments of both."""
        model = self._model
        return {
            "coefficient": model.coefs_,
            "intercept": model.intercepts_,
            "mean": model._optimizer.ms,
            "square": model._optimizer.vs,
        }


def lay_out(model: MLPClassifier, n_pixels: int, n_labels: int, exclusive: bool) -> None:
    """Give an untrained model its layers, by one step on nothing; their values are of no use."""
    nothing = np.zeros((n_labels, n_pixels), np.float32)
    targets = np.arange(n_labels) if exclusive else np.eye(n_labels, dtype=int)
    model.set_params(batch_size=n_labels)
    model.partial_fit(nothing, targets, classes=np.arange(n_labels))
