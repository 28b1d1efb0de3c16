"""What a run's recorder has seen, and methods that go on behind another one."""

from __future__ import annotations

from ..core.aggregator import Aggregator, members
from ..core.chain import Chain, member_state
from ..diagnosis.recorder import Recorder, recorder_state
from ..optim.compatibility import reads_residuals
from ..optim.guarded_soap import GuardedSOAP
from ..optim.optimizer import MultiLossOptimizer


def treated(aggregator: Aggregator) -> Aggregator:
    """The method behind a recorder, or the method itself."""
    parts = members(aggregator)
    rest = parts[1:] if isinstance(parts[0], Recorder) else ()
    if not rest:
        return aggregator
    return rest[0] if len(rest) == 1 else Chain(*rest)


def is_complete(optimizer: MultiLossOptimizer, recorder: Recorder) -> bool:
    """Whether the profile spans the recorder's steps."""
    seen = recorder_state(optimizer.aggregator, optimizer.session.state)
    return seen is not None and int(seen["age"]) >= recorder.steps


def carry(optimizer: MultiLossOptimizer, method: Aggregator) -> None:
    """Go on with another method, of which those parts that the present one has keep their state."""
    session = optimizer.session
    parts, state, began = list(members(optimizer.aggregator)), session.state, session.began
    if state is not None:
        spec = session.spec(optimizer.layout(), session.names or ())
        numbered = isinstance(optimizer.aggregator, Chain)
        found = [member_state(state, i) if numbered else state for i in range(len(parts))]
        kept = [found[parts.index(p)] if p in parts else p.init(spec) for p in members(method)]
        one = not isinstance(method, Chain)
        state = {
            key if one else f"{i}.{key}": v for i, own in enumerate(kept) for key, v in own.items()
        }
    optimizer.set_aggregator(method)
    session.state, session.began = state, began


def trained_by(run: MultiLossOptimizer) -> str:
    """What takes steps: the method, and the optimizer where ``auto`` chose that too."""
    label, inner = treated(run.aggregator).label, run.inner
    if not (isinstance(inner, GuardedSOAP) or reads_residuals(inner)):
        return label
    name = "SOAP" if isinstance(inner, GuardedSOAP) else type(inner).__name__
    return name if label == "Sum" else f"{name} -> {label}"
