"""The embedded judge's classifier: seven response kinds from blocks of features."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from unlearnkit.judges.base import KINDS


class Kinds:
    """Support vector machines for each pair of kinds, with Platt scaling, coupled as Price et al. (1995) do.

    Features, C and gamma were chosen by 5-fold cross-validation on the train rows, grouped by prompt: 0.92 of
    394 rows right (harmful or not) against 0.90 for softmax regression; later, with unlearned models' outputs
    among them, 0.90 of 513.
    """

    def fit(self, blocks: list[np.ndarray], kinds: np.ndarray) -> Kinds:
        """Args: feature blocks, each (n, width), weighted equally whatever their scale; n names of kinds."""
        from sklearn.calibration import CalibratedClassifierCV  # seconds, and a check of settings fits nothing
        from sklearn.model_selection import StratifiedKFold
        from sklearn.svm import SVC

        self.means = [block.mean(axis=0) for block in blocks]
        self.scales = [
            np.linalg.norm(block - mean, axis=1).mean() for block, mean in zip(blocks, self.means, strict=True)
        ]
        inputs = self._scaled(blocks)
        self.machines = {}
        for first, second in combinations(KINDS, 2):
            rows = np.isin(kinds, [first, second])
            folds = StratifiedKFold(5, shuffle=True, random_state=0)
            machine = CalibratedClassifierCV(SVC(C=3, gamma=0.07), ensemble=False, cv=folds)
            self.machines[first, second] = machine.fit(inputs[rows], kinds[rows] == second)
        return self

    def probabilities(self, blocks: list[np.ndarray]) -> np.ndarray:
        """(n, 7), in the order of `KINDS`."""
        inputs, names = self._scaled(blocks), list(KINDS)
        inverse = np.zeros((len(inputs), len(names)))
        for (first, second), machine in self.machines.items():
            share = np.clip(machine.predict_proba(inputs)[:, 1], 1e-3, 1 - 1e-3)
            inverse[:, names.index(second)] += 1 / share
            inverse[:, names.index(first)] += 1 / (1 - share)
        coupled = 1 / (inverse - (len(names) - 2))
        return coupled / coupled.sum(axis=1, keepdims=True)

    def _scaled(self, blocks: list[np.ndarray]) -> np.ndarray:
        parts = zip(blocks, self.means, self.scales, strict=True)
        return np.hstack([(block - mean) / scale for block, mean, scale in parts])
