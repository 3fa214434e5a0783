"""The no-U-turn sampler of NumPyro on the flat vector, started at the mode and saved block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from csvjax.cluster import Where, connected
from csvjax.infer.chain_files import load_chains, save_chains
from csvjax.infer.chain_tasks import as_tasks
from csvjax.infer.chains import begin, one_by_one, parallel
from csvjax.infer.convergence import bulk_ess, rhat, tail_ess
from csvjax.infer.map import Map, Optimum, find_mode
from csvjax.infer.result import Fit, Status
from csvjax.law.density import Density

__all__ = ["Nuts"]


@dataclass(frozen=True)
class Nuts:
    """Draws of several chains.

    The sampler moves in z, where x = mode + W z and W comes from the curvature at the mode (`Optimum.metric`). So the
    warm-up has to learn only where the posterior differs from Laplace's approximation. Every chain starts at the mode,
    where value and gradient are known, with its own momentum. warmup, draws: for each chain. mass: form of the metric
    of z that the warm-up learns. tree, warmup_tree: a trajectory has at most 2^tree steps (warm-up: 2^warmup_tree);
    before the step size is known, long trajectories are wasted (four of five of all steps with 18 models, 8 benchmarks
    and K = 2). block: the state is saved after this number of draws, if a folder is given. rhat, ess: the status is ok
    if no parameter has a larger r-hat, or fewer effective draws per chain. longer: how often as many draws are added if
    the chains do not agree on parameters or predictions (by `csvjax.fit`). Chains in a folder can be continued with
    more draws.

    diagnostics: `rhat`, `bulk_ess`, `tail_ess` [n]; `diverging`, `steps`, `potential` [chain, draw]; `step_size`
    [chain]; `mode_potential`.
    """

    warmup: int = 500
    draws: int = 500
    chains: int = 4
    mass: Literal["diagonal", "dense"] = "diagonal"
    target: float = 0.85
    tree: int = 10
    warmup_tree: int = 6
    block: int = 250
    rhat: float = 1.01
    ess: int = 100
    longer: int = 0
    map: Map = Map()

    def run(
        self,
        density: Density,
        data: Any,
        key: Array,
        folder: Path | None,
        optimum: Optimum | None = None,
        where: Where | None = None,
    ) -> Fit:
        """optimum: the mode, if it was found before. where: where each chain runs as a job; None for this process."""
        data = jax.tree.map(jnp.asarray, data)
        key_mode, key_chains = jax.random.split(key)
        if optimum is None:
            optimum = find_mode(density, self.map, data, key_mode)
        states = begin(density, self, (optimum, data), jax.random.split(key_chains, self.chains))
        blocks, states = load_chains(folder, self, optimum.x, states)
        advance = parallel if jax.local_device_count() > 1 or jax.default_backend() != "cpu" else one_by_one
        if where is not None:
            advance = partial(as_tasks, where)
        total = self.warmup + self.draws
        block = total if folder is None else self.block
        with connected(where):
            for done in range(sum(len(b["diverging"][0]) for b in blocks), total, block):
                states, kept = advance(density, self, (optimum, data), states, min(block, total - done))
                blocks.append(jax.device_get(kept))
                save_chains(folder, self, optimum.x, states, blocks)
        joined = {name: np.concatenate([b[name] for b in blocks], axis=1)[:, self.warmup :] for name in blocks[0]}
        return self.read(optimum, joined)

    def read(self, optimum: Optimum, found: dict[str, np.ndarray]) -> Fit:
        x = np.asarray(optimum.x) + found.pop("z") @ np.asarray(optimum.metric).T
        found |= {"rhat": rhat(x), "bulk_ess": bulk_ess(x), "tail_ess": tail_ess(x)}
        found |= {"step_size": found["step_size"][:, -1], "mode_potential": np.asarray(optimum.potential)}
        return Fit(self, x, np.asarray(optimum.x), self.status(found), found, optimum)

    def status(self, found: dict[str, np.ndarray]) -> Status:
        """The status that follows from the diagnostics `rhat`, `bulk_ess`, `tail_ess`, `diverging` and `steps`."""
        diverging = int(found["diverging"].sum())
        total = found["diverging"].size
        full = float(np.mean(found["steps"] >= 2**self.tree - 1))
        worst, bulk, tail = (
            float(f(found[name])) for f, name in ((np.max, "rhat"), (np.min, "bulk_ess"), (np.min, "tail_ess"))
        )
        if not np.isfinite(worst) or worst > self.rhat:
            return Status(
                False,
                f"the chains do not agree: largest r-hat {worst:.3f}, which should be at most {self.rhat:g} (fewest "
                f"effective draws {bulk:.0f}); draw longer, or check whether the chains found different modes",
            )
        if diverging > 0.005 * total:
            return Status(
                False,
                f"{diverging} of {total} draws diverged, so that narrow regions of the posterior may be missing; raise "
                f"target (now {self.target:g}), or tighten the priors of spreads",
            )
        if full > 0.05:
            return Status(
                False, f"{full:.0%} of the trajectories were cut off; raise tree (now {self.tree}), or warm up longer"
            )
        if min(bulk, tail) < self.ess * self.chains:
            return Status(
                False,
                f"too few effective draws: {bulk:.0f} in the bulk and {tail:.0f} in the tails of the worst parameter, "
                f"which should be {self.ess * self.chains}; draw longer",
            )
        return Status(
            True,
            f"converged: largest r-hat {worst:.3f}, at least {bulk:.0f} effective draws in the bulk and {tail:.0f} in "
            f"the tails, {diverging} divergences",
        )
