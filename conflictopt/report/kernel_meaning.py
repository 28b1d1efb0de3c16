"""What a comparison says, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.comparison import CONFLICT, Comparison, PairChange

SMALL = 0.1
"""Below this share of the squared gradient norms adapters are called minor. Our choice."""


def meaning(comparison: Comparison) -> list[str]:
    """The sentences that a person needs to act on a comparison; every number is from it."""
    return [
        _since(comparison),
        _weight(comparison),
        *_inside(comparison),
        *_routing(comparison),
    ]


def _since(comparison: Comparison) -> str:
    if comparison.fresh:
        return (
            "All other parameters have the gradients they had before: the adapters are fresh, "
            "and any change is theirs."
        )
    return (
        "The other parameters' gradients changed too: there was training between the two "
        "kernels, so a change is not that of the adapters alone."
    )


def _weight(comparison: Comparison) -> str:
    shares = comparison.adapter_share()
    low, high = min(shares), max(shares)
    span = f"{low:.1%}" if f"{low:.1%}" == f"{high:.1%}" else f"{low:.1%} to {high:.1%}"
    verdict = (
        "so a gradient step is still decided by the other parameters. (Adam's steps do not shrink "
        "with the gradient: under it, adapters move more than this share says.)"
        if high < SMALL
        else "so they have a say in a gradient step."
    )
    return f"The adapters carry {span} of the losses' squared gradient norms, {verdict}"


def _inside(comparison: Comparison) -> Iterator[str]:
    if not comparison.pairs:
        return
    inside = [p.coupling_adapters for p in comparison.pairs]
    rest = [p.coupling_trunk for p in comparison.pairs]
    less = sum(a < b for a, b in zip(inside, rest, strict=True))
    verdict = (
        f"they couple {less} of {len(inside)} pairs less than the trunk does"
        if less
        else "they couple no pair less than the trunk does"
    )
    yield (
        f"Inside the adapters the coupling of pairs is {_range(inside)}, against {_range(rest)} "
        f"in the trunk: {verdict}. The output is shared, so each adapter moves every loss, whoever "
        "owns it."
    )


def _routing(comparison: Comparison) -> Iterator[str]:
    if not comparison.pairs:
        return
    conflicting = [p for p in comparison.pairs if p.conflicts]
    yield from map(_conflict, conflicting)
    if not conflicting:
        yield f"No pair conflicts at this point (cosine below {CONFLICT}): nothing to route."
        return
    yield f"Exclusive routing of these adapters, at this point of training, {_verdict(conflicting)}"


def _verdict(conflicting: list[PairChange]) -> str:
    freed, eased = (sum(f) for f in zip(*[(p.freed, p.eased) for p in conflicting], strict=True))
    if freed == len(conflicting):
        return "frees the steps from these conflicts."
    if not freed and not eased:
        return "leaves these conflicts in place; look to reweighting or surgery for them."
    return (
        f"frees {freed} of these {len(conflicting)} pairs in both directions and {eased} in one; "
        "look to reweighting or surgery for the others."
    )


def _conflict(pair: PairChange) -> str:
    return (
        f"{pair.first} and {pair.second} conflict: cosine {pair.cosine_before:+.2f} before, "
        f"{pair.cosine:+.2f} with adapters, to which they contribute {pair.from_adapters:+.3f}. "
        f"With exclusive routing a step for {pair.second} {_acts(pair.on_first, pair.first)}, "
        f"and one for {pair.first} {_acts(pair.on_second, pair.second)}."
    )


def _acts(effect: float, loss: str) -> str:
    verb = "raises" if effect < CONFLICT else "lowers" if effect > -CONFLICT else "hardly moves"
    return f"{verb} {loss} ({effect:+.2f})"


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
