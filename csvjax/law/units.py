"""Units for a salience fit: groups of tokens with similar losses, and features of the groups.

With thousands of tokens and a hundred models, the only information on a token is how its loss varies among the models.
So tokens of one domain whose losses vary in a similar way share a group, and z is spanned by the principal components
of that variation. To first order the law is then ridge regression on these components, with the mean loss unpenalised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from csvjax.data.losses import LossTable

__all__ = ["Units", "features_of", "group_units"]


class Units(NamedTuple):
    """`label` [token]: the group of each token. `loss` [lm, group]: nats per byte. `weight` [group]: share of bytes.

    A group may be empty (weight 0), so that the number of groups depends only on the text and compiled fits are reused.
    """

    label: Int[np.ndarray, " token"]
    loss: Float[np.ndarray, "lm group"]
    weight: Float[np.ndarray, " group"]


def _excess(loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """D diag(sqrt(weight)) [lm, unit], where D is the excess over the mean loss."""
    return (loss - loss @ weight[:, None]) * np.sqrt(weight)


def features_of(
    loss: Float[np.ndarray, "lm unit"], weight: Float[np.ndarray, " unit"], most: int
) -> Float[np.ndarray, "unit feature"]:
    """Principal components, over units, of each unit's excess over the mean loss, with mean square 1 under `weight`.

    With D[m, u] = loss[m, u] - sum_v weight[v] loss[m, v] and D diag(sqrt(weight)) = P S V', they are V / sqrt(weight).
    Components with singular values below 1e-6 of the largest are set to zero, and so are units of weight 0.
    """
    _, size, vectors = np.linalg.svd(_excess(loss, weight), full_matrices=False)
    vectors, size = vectors[:most].T, size[:most]
    found = np.zeros((len(weight), most))
    root = np.sqrt(weight)[:, None]
    found[:, : len(size)] = np.divide(vectors, root, out=np.zeros_like(vectors), where=root > 0)
    found[:, : len(size)] *= size > 1e-6 * max(size[0], 1e-300)
    return found


def group_units(table: LossTable, train: np.ndarray, per_domain: int, components: int = 12, seed: int = 0) -> Units:
    """Group the tokens of `table` by the losses of the models `train` [lm, bool] only.

    Each domain has at most `per_domain` groups, by k-means on the leading principal components of the tokens' losses. A
    domain with at most that many tokens keeps each token as a group of its own.
    """
    base = table.base_weight
    loss = table.loss.astype(float) / table.units["bytes"].to_numpy(float)
    excess = _excess(loss[train], base)
    # P of P S V', from a small matrix: with many more tokens than models this is a tenth of the work of a full SVD.
    directions = np.linalg.eigh(excess @ excess.T)[1][:, ::-1][:, :components]
    profile = (excess.T @ directions) / np.sqrt(base)[:, None]  # nats per byte of each token along each component
    label = np.empty(len(base), int)
    from sklearn.cluster import MiniBatchKMeans  # imported here: it would cost other commands half a second

    count = 0
    for domain in table.units["domain"].unique():
        at = np.flatnonzero(table.units["domain"] == domain)
        if len(at) <= per_domain:
            label[at] = np.arange(len(at)) + count
        else:
            means = MiniBatchKMeans(per_domain, n_init=3, random_state=seed)
            label[at] = means.fit(profile[at], sample_weight=base[at]).labels_ + count
        count += min(len(at), per_domain)
    return Units(label, *pool(loss, base, label, count))


def pool(loss: np.ndarray, base: np.ndarray, label: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Loss [lm, group] and share of bytes [group] of `count` groups; the mean loss is preserved exactly."""
    weight = np.bincount(label, base, count)
    total = np.stack([np.bincount(label, base * row, count) for row in loss])
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0), weight
