"""Profiles taken while any method trains: a recorder put before it, and taken off again."""

from __future__ import annotations

import copy

from ..core.aggregator import Aggregator, State, members
from ..core.chain import Chain, member_state
from ..diagnosis.profile import Profile
from ..diagnosis.recorder import Recorder, profile_of, recorder_state
from ..optim.optimizer import MultiLossOptimizer


def observed(optimizer: MultiLossOptimizer) -> State | None:
    """What the recorder before the method has seen; ``None`` without one, or before it saw."""
    return recorder_state(optimizer.aggregator, optimizer.session.state)


def observing(aggregator: Aggregator) -> bool:
    """Whether a recorder stands before the method."""
    return isinstance(members(aggregator)[0], Recorder)


def treated(aggregator: Aggregator) -> Aggregator:
    """The method behind a recorder, or the method itself."""
    if not observing(aggregator):
        return aggregator
    rest = members(aggregator)[1:]
    if not rest:
        return aggregator
    return rest[0] if len(rest) == 1 else Chain(*rest)


def is_complete(optimizer: MultiLossOptimizer, recorder: Recorder) -> bool:
    """Whether the profile spans the recorder's steps."""
    seen = observed(optimizer)
    return seen is not None and int(seen["age"]) >= recorder.steps


def profile_so_far(optimizer: MultiLossOptimizer) -> Profile | None:
    """The samples there are; ``None`` without any."""
    seen, names = observed(optimizer), optimizer.session.names
    if seen is None or names is None or int(seen["samples"]) == 0:
        return None
    return profile_of(seen, names)


def observe(optimizer: MultiLossOptimizer, recorder: Recorder) -> None:
    """Begin a profile: the method goes on with its state, and trains as without it.

    The recorder stands before the method, so it samples the gradients of the losses themselves,
    not of those that the method has weighted. A plain run stays bitwise what it was, and so does
    one whose method reads all gradients; other methods form the update of the sampled steps from
    the sampled gradients, which is the same to rounding.
    """
    parts, state = members(optimizer.aggregator), optimizer.session.state
    if state is not None:
        numbered = isinstance(optimizer.aggregator, Chain)
        state = {_later(k) if numbered else f"1.{k}": v for k, v in state.items()}
        layout, names = optimizer.layout(), optimizer.session.names or ()
        fresh = recorder.init(optimizer.session.spec(layout, names))
        state.update({f"0.{k}": v for k, v in fresh.items()})
    _continue(optimizer, Chain(recorder, *parts), state)


def unobserve(optimizer: MultiLossOptimizer, copied: bool = False) -> None:
    """End a profile that ``observe`` began; the method goes on with its state.

    Args:
        copied: whether a copy of the method goes on, so that what it holds itself stays as it is.
    """
    method, state = treated(optimizer.aggregator), optimizer.session.state
    method = copy.deepcopy(method) if copied else method
    if state is not None:
        own = {_earlier(k): v for k, v in state.items() if not k.startswith("0.")}
        chain = isinstance(method, Chain)
        state = own if chain else {k.removeprefix("0."): v for k, v in own.items()}
    _continue(optimizer, method, state)


def carry(optimizer: MultiLossOptimizer, method: Aggregator) -> None:
    """Go on with another method, of which those parts that the present one has keep their state."""
    parts, state = list(members(optimizer.aggregator)), optimizer.session.state
    if state is not None:
        layout, names = optimizer.layout(), optimizer.session.names or ()
        spec = optimizer.session.spec(layout, names)
        numbered = isinstance(optimizer.aggregator, Chain)
        found = [member_state(state, i) if numbered else state for i in range(len(parts))]
        kept = [found[parts.index(p)] if p in parts else p.init(spec) for p in members(method)]
        one = not isinstance(method, Chain)
        state = {
            key if one else f"{i}.{key}": v for i, own in enumerate(kept) for key, v in own.items()
        }
    _continue(optimizer, method, state)


def _continue(optimizer: MultiLossOptimizer, method: Aggregator, state: State | None) -> None:
    session = optimizer.session
    began = session.began
    optimizer.set_aggregator(method)
    session.state, session.began = state, began


def _later(key: str) -> str:
    number, _, rest = key.partition(".")
    return f"{int(number) + 1}.{rest}"


def _earlier(key: str) -> str:
    number, _, rest = key.partition(".")
    return f"{int(number) - 1}.{rest}"
