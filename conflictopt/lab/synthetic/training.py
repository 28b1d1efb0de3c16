"""Train a synthetic problem with a recorder, and say what its profile would be if endless."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...diagnosis.diagnosis import Regime, name_regime
from ...diagnosis.loss_statistics import mean_norm_ratio
from ...diagnosis.pair_statistics import pair_statistics
from ...diagnosis.profile import Profile
from ...diagnosis.recorder import Recorder, profile_of
from ...diagnosis.thresholds import Thresholds
from ...optim.optimizer import MultiLossOptimizer
from .case import Case, CaseError
from .network import network, tasks
from .quadratics import quadratics

_RATE = 1e-3
"""Of the networks: slow enough for what the tasks share to outweigh the noise up to the end."""
_MANY = 20_000
"""Independent samples of the exact regime: errors of a cosine's mean below 0.003."""


def trained_profile(case: Case) -> Profile:
    """The profile of a training run of the case, one sample per step."""
    return _of_quadratics(case) if case.kind == "quadratics" else _of_network(case)


def exact_regime(case: Case, thresholds: Thresholds | None = None) -> Regime:
    """The regime of quadratics from the distribution of their gradients, whatever was sampled.

    The rule applied to many independent samples: the regime that a profile of the same length
    would have without its sampling error. Nothing is trained.

    Args:
        thresholds: other thresholds than the default ones.

    Raises:
        CaseError: the case is a network.
    """
    if case.kind != "quadratics":
        raise CaseError(f"expected quadratics, whose distribution is known, found '{case.kind}'.")
    problem, random = quadratics(case), np.random.default_rng((case.seed, 1))
    noise = problem.spread * random.standard_normal((_MANY, *problem.directions.shape))
    rows = problem.directions + noise / problem.directions.shape[1] ** 0.5
    rows *= problem.sizes[:, None]
    names = tuple(f"loss{k}" for k in range(rows.shape[1]))
    grams = rows @ rows.swapaxes(1, 2)
    endless = Profile(names, np.arange(_MANY), np.ones(rows.shape[:2]), grams)
    t = thresholds or Thresholds()
    return name_regime(pair_statistics(endless, t), mean_norm_ratio(endless), t)


def _of_quadratics(case: Case) -> Profile:
    problem = quadratics(case)
    x = nn.Parameter(problem.start())
    noise = problem.noise(case.samples, np.random.default_rng((case.seed, 2)))
    inner = torch.optim.SGD([x], lr=problem.rate)
    opt = MultiLossOptimizer(inner, Recorder(steps=case.samples, every=1))
    for now in noise:
        opt.step(problem.losses(x, now))
    return _profile(opt)


def _of_network(case: Case) -> Profile:
    problem, generator = tasks(case), torch.Generator().manual_seed(case.seed)
    net = network(generator)
    inner = torch.optim.Adam(net.parameters(), lr=_RATE)
    opt = MultiLossOptimizer(inner, Recorder(steps=case.samples, every=1))
    for step in range(case.samples):
        opt.step(problem.losses(net, step / case.samples, generator))
    return _profile(opt)


def _profile(opt: MultiLossOptimizer) -> Profile:
    state, names = opt.session.state, opt.session.names
    assert state is not None
    assert names is not None
    return profile_of(state, names)
