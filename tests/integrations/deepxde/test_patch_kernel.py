"""The tangent kernel of a patched model."""

import numpy as np
import pytest
import torch

from conflictopt.integrations.deepxde import patch
from conflictopt.integrations.deepxde.patch_errors import PatchError


def test_its_gramian_is_that_of_the_losses_and_nothing_changes(conflicting, adam):
    models = [conflicting() for _ in range(2)]
    for model in models:
        patch(model, "sum")
        adam(model, 5)
    random, patched = torch.get_rng_state(), models[0].conflictopt
    kernel = patched.tangent_kernel(rows=None)
    assert torch.equal(torch.get_rng_state(), random)
    grads = []
    batch = patched._batch
    for loss in patched._reader.read(batch, False).together().terms:
        found = torch.autograd.grad(loss, list(models[0].net.parameters()), retain_graph=True)
        grads.append(torch.cat([g.flatten() for g in found]).double().numpy())
    gram = np.array(grads) @ np.array(grads).T
    np.testing.assert_allclose(kernel.gramian(), gram, rtol=1e-4, atol=1e-7 * np.abs(gram).max())
    for model in models:
        adam(model, 5)
    for a, b in zip(models[0].net.parameters(), models[1].net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_names_layers_and_adapters(conflicting, adam):
    model = conflicting()
    patch(model, "adapters")
    adam(model, 3)
    blocks = model.conflictopt.tangent_kernel().blocks
    assert {b.partition("/")[0] for b in blocks} == {"network", "adapter"}


def test_before_the_first_step_there_is_none(conflicting):
    model = conflicting()
    made = patch(model, "sum")
    with pytest.raises(PatchError, match="at least one training step"):
        made.tangent_kernel()
