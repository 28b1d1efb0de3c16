"""What adapters do to the kernel at attach, as derived in ``compare``."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import conflictopt
from conflictopt.kernel import blocks_of, compare, probed_kernel, tangent_kernel
from conflictopt.report.kernel_meaning import meaning


def kernel_of(problem):
    return tangent_kernel(problem.residuals(), problem.blocks())


def with_adapters(problem, seed=0, **options):
    before = kernel_of(problem)
    conflictopt.attach(problem.net, problem.names, seed=seed, **{"rank": 2, **options})
    after = kernel_of(problem)
    conflictopt.adapters.detach(problem.net)
    return before, after


@pytest.mark.parametrize("placement", ["last", "hidden", "weights", "head"])
def test_other_blocks_stay_and_adapters_are_added(small, placement):
    before, after = with_adapters(small, placement=placement)
    adapters = [f"adapter/{n}" for n in small.names]
    assert after.blocks == ("network/0", "network/1", "network/2", "physics", *adapters)
    for b in before.blocks:
        i, j = before.blocks.index(b), after.blocks.index(b)
        np.testing.assert_allclose(before.matrices[i], after.matrices[j], atol=1e-12)
    for b in adapters:
        added = after.matrices[after.blocks.index(b)]
        assert np.linalg.eigvalsh(added)[0] > -1e-10 * np.abs(added).max()
        assert added.any()
    assert (after.trace() > before.trace()).all()
    assert compare(before, after).fresh


def test_a_fresh_adapter_is_a_sketch_of_the_heads_kernel(small):
    """Linear adapters before the head, on a loss that is linear in the output."""
    conflictopt.attach(small.net, small.names, rank=2, activation="linear")
    kernel = tangent_kernel(small.residuals(), small.blocks())
    adapters = conflictopt.adapters.attached(small.net)
    with torch.no_grad():
        h = {k: small.net[:4](small.x[i]) for i, k in ((1, "bc"), (2, "data"))}
        head = small.net[4].weight
        for owner, down in zip(small.names, adapters.down, strict=True):
            for a, b in (("bc", "bc"), ("bc", "data"), ("data", "data")):
                sketch = (h[a] @ down) @ (h[b] @ down).T / 3**2 * head.square().sum()
                scale = {"bc": 1 / 5**0.5, "data": 3 / 4**0.5}
                want = sketch * scale[a] * scale[b]
                found = kernel.matrix(a, b, f"adapter/{owner}")
                np.testing.assert_allclose(found, want, atol=1e-12)


@pytest.mark.slow
def test_exclusive_routing_divides_the_adapters_part_by_k_on_average(small):
    draws = 150
    differences, sizes = [], []
    for seed in range(draws):
        _, after = with_adapters(small, seed=seed)
        shared = after.gramian("adapters")
        rest = after.gramian() - shared
        exclusive = after.effective(after.routed()) - rest
        differences.append(exclusive - shared / 3)
        sizes.append(np.abs(shared / 3))
    error = np.std(differences, axis=0, ddof=1) / draws**0.5
    assert (np.abs(np.mean(differences, axis=0)) <= 4.5 * error).all()
    # a statement with content: the errors are small beside what is compared
    assert (error < 0.5 * np.mean(sizes, axis=0)).all()


def test_pairs(small):
    before, after = with_adapters(small)
    found = compare(before, after)
    assert [(p.first, p.second) for p in found.pairs] == [
        ("pde", "bc"),
        ("pde", "data"),
        ("bc", "data"),
    ]
    p, exclusive = found.pairs[1], after.interference(after.routed())
    assert p.coupling_before == before.coupling()[0, 2]
    assert p.coupling == after.coupling()[0, 2]
    assert p.coupling_trunk == after.coupling("trunk")[0, 2]
    assert p.coupling_adapters == after.coupling("adapters")[0, 2]
    assert p.cosine_before == before.cosines()[0, 2]
    assert p.cosine == after.cosines()[0, 2]
    assert p.from_adapters == after.cosines("adapters")[0, 2]
    assert (p.on_first, p.on_second) == (exclusive[0, 2], exclusive[2, 0])
    share = after.gramian("adapters").diagonal() / after.gramian().diagonal()
    np.testing.assert_allclose(found.adapter_share(), share)


def test_adapters_that_were_there_before_are_not_fresh(small):
    _, after = with_adapters(small)
    assert not compare(after, after).fresh


def test_training_in_between_is_noticed(small):
    before = kernel_of(small)
    with torch.no_grad():
        small.net[0].bias += 0.01
    _, after = with_adapters(small)
    assert not compare(before, after).fresh
    assert any("training between" in s for s in meaning(compare(before, after)))


def test_from_probes(small):
    before = probed_kernel(small.residuals(), small.blocks())
    conflictopt.attach(small.net, small.names)
    found = compare(before, probed_kernel(small.residuals(), small.blocks()))
    assert found.fresh
    assert len(found.pairs) == 3


def built(linear_losses, trunk, own_a, own_b):
    """Gradients ``2 (trunk, own_a, own_b)`` per loss, each ``[K, 1]``."""
    residuals, w = linear_losses([[[t]] for t in trunk])
    first, a = linear_losses([[[t]] for t in own_a])
    second, b = linear_losses([[[t]] for t in own_b])
    whole = {k: residuals[k] + (first[k] + second[k] - 2) for k in residuals}
    before = tangent_kernel(residuals, {"network": [w]})
    blocks = {"network": [w], "adapter/a": [a], "adapter/b": [b]}
    return compare(before, tangent_kernel(whole, blocks))


def test_routing_that_leaves_a_conflict(linear_losses):
    # both adapters are torn between the losses; each loss moves the other through its own
    found = built(linear_losses, (1.0, 0.1), (1.0, -2.0), (-2.0, 1.0))
    (pair,) = found.pairs
    np.testing.assert_allclose(pair.cosine, (0.1 - 2 - 2) / np.sqrt(6 * 5.01))
    np.testing.assert_allclose(pair.on_first, (0.1 - 2) / np.sqrt(2 * 1.01))
    assert pair.conflicts
    assert not pair.freed
    assert "leaves these conflicts in place" in meaning(found)[-1]


def test_routing_that_helps_one_way(linear_losses):
    found = built(linear_losses, (1.0, 1.0), (2.0, 0.0), (-3.0, 0.5))
    (pair,) = found.pairs
    assert pair.conflicts
    assert pair.on_second > 0 > pair.on_first
    text = " ".join(meaning(found))
    assert "a step for b raises a" in text
    assert "one for a lowers b" in text
    assert pair.eased
    assert "frees 0 of these 1 pairs in both directions and 1 in one" in text


def test_routing_that_frees_one_of_three_or_all(linear_losses):
    # the trunk agrees, each adapter alone is outweighed by it, both together are not
    found = built(linear_losses, (3.0, 1.0), (2.0, -1.0), (1.0, -2.0))
    assert [p.freed for p in found.pairs] == [True]
    assert "frees the steps from these conflicts" in meaning(found)[-1]
    # a third loss opposes both in the trunk, where no routing helps
    found = built(linear_losses, (3.0, 1.0, -1.0), (2.0, -1.0, 0.0), (1.0, -2.0, 0.0))
    assert [p.conflicts for p in found.pairs] == [True, True, True]
    assert [p.freed for p in found.pairs] == [True, False, False]
    assert "frees 1 of these 3 pairs in both directions and 0 in one" in meaning(found)[-1]


def test_sentences_without_conflict_and_with_large_adapters(linear_losses):
    found = built(linear_losses, (1.0, 1.0), (1.0, 1.0), (1.0, 1.0))
    text = meaning(found)
    assert "No pair conflicts" in text[-1]
    assert "66.7% of" in text[1]
    assert "have a say" in text[1]


def test_one_loss_has_no_pairs(small):
    residuals = {"bc": small.residuals()["bc"]}
    before = tangent_kernel(residuals, small.blocks())
    conflictopt.attach(small.net, ["bc"])
    after = tangent_kernel({"bc": small.residuals()["bc"]}, small.blocks())
    found = compare(before, after)
    assert found.pairs == ()
    assert len(meaning(found)) == 2


def test_refusals(small):
    before, after = with_adapters(small)
    with pytest.raises(conflictopt.LayoutError, match="expected adapter blocks"):
        compare(before, before)
    other = tangent_kernel({"bc": small.residuals()["bc"]}, small.blocks())
    with pytest.raises(conflictopt.LossError, match="same losses"):
        compare(other, after)
    without = tangent_kernel(small.residuals(), blocks_of(small.net))
    with pytest.raises(conflictopt.LayoutError, match="the same blocks beside adapters"):
        compare(without, after)
