"""Every method by name: one line each, resolved when first asked for."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from ..core.aggregator import READS_RESIDUALS, Aggregator
from ..core.chain import Chain
from ..core.errors import MethodError

METHODS = {
    "adapters": "routing.adapters:AdapterRouting",
    "aligned_mtl": "surgery.aligned_mtl:AlignedMTL",
    "cagrad": "surgery.cagrad:CAGrad",
    "causal": "reweighting.causal:Causal",
    "chebyshev": "surgery.chebyshev:ChebyshevCentre",
    "config": "surgery.config:ConFIG",
    "constant": "reweighting.constant:Constant",
    "db_pinn": "reweighting.db_pinn:DBPINN",
    "dcgd": "surgery.dcgd:DCGD",
    "dualproj": "surgery.dualproj:DualProj",
    "dwa": "reweighting.dwa:DWA",
    "fairgrad": "surgery.fairgrad:FairGrad",
    "famo": "reweighting.famo:FAMO",
    "grad_norm": "reweighting.grad_norm:GradNormBalance",
    "graddrop": "surgery.graddrop:GradDrop",
    "gradnorm_chen": "reweighting.gradnorm_chen:GradNorm",
    "gradvac": "surgery.gradvac:GradVac",
    "imtl_g": "surgery.imtl_g:IMTLG",
    "inverse_dirichlet": "reweighting.inverse_dirichlet:InverseDirichlet",
    "lr_annealing": "reweighting.lr_annealing:LRAnnealing",
    "m_config": "surgery.m_config:MConFIG",
    "mgda": "surgery.mgda:MGDA",
    "min_max": "reweighting.min_max:MinMax",
    "multi_adam": "surgery.multi_adam:MultiAdam",
    "nash_mtl": "surgery.nash_mtl:NashMTL",
    "ntk": "reweighting.ntk:NTK",
    "pcgrad": "surgery.pcgrad:PCGrad",
    "rba": "reweighting.rba:RBA",
    "relobralo": "reweighting.relobralo:ReLoBRaLo",
    "resnorm": "reweighting.resnorm:ResNorm",
    "sa_pinn": "reweighting.sa_pinn:SAPINN",
    "softadapt": "reweighting.softadapt:SoftAdapt",
    "stch": "reweighting.stch:STCH",
    "sum": "reweighting.sum:Sum",
    "uncertainty": "reweighting.uncertainty:Uncertainty",
    "upgrad": "surgery.upgrad:UPGrad",
}

CONTROLLER = "auto.loop:controller"
"""What ``auto`` is: no method, but what chooses one while a run trains."""


def controller() -> Callable[..., Any]:
    """What makes the control of a run; resolved when first asked for, as methods are."""
    module, _, attribute = CONTROLLER.partition(":")
    made: Callable[..., Any] = getattr(importlib.import_module(f"conflictopt.{module}"), attribute)
    return made


def registered(name: str, others: Iterable[str] = ()) -> str:
    """The name of a method as the registry has it, for one that may be spelt otherwise.

    Case, hyphens and underscores do not count, and a class's name is as good:
    ``"PCGrad"``, ``"lr-annealing"`` and ``"AlignedMTL"`` are found. What could mean two methods is
    refused.

    Args:
        name: as the user wrote it.
        others: names that stand beside the registry's where it is asked for.

    Raises:
        MethodError: an unknown name; the message suggests near ones and lists what there is.
    """
    known = dict.fromkeys([*others, *METHODS])
    found = _alike(name, known)
    if len(found) == 1:
        return found[0]
    near = found or difflib.get_close_matches(name.lower(), known, n=2)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    raise MethodError(f"unknown method '{name}'.{hint} Known: {', '.join(known)}.")


def _alike(name: str, known: Iterable[str]) -> list[str]:
    """The name itself, or else all that it may be another spelling of."""
    if name in known:
        return [name]
    spellings = {n: {_bare(n), _bare(METHODS.get(n, n).rpartition(":")[2])} for n in known}
    return [n for n, spelt in spellings.items() if _bare(name) in spelt]


def _bare(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def method_class(name: str) -> type[Aggregator]:
    """The class behind a method name; see ``registered`` for how it may be spelt.

    Raises:
        MethodError: unknown name; the message lists what there is.
    """
    module, _, attribute = METHODS[registered(name)].partition(":")
    cls: type[Aggregator] = getattr(
        importlib.import_module(f"conflictopt.methods.{module}"), attribute
    )
    return cls


def make(name: str, **hyper_parameters: Any) -> Aggregator:
    """Build a method from its name.

    Args:
        name: a key of the registry (``conflictopt methods`` lists them), or the class's name; case
            and hyphens do not count.
        hyper_parameters: the fields of the method's dataclass.

    Raises:
        MethodError: unknown method or hyper-parameter, or a value the method refuses.

    >>> import conflictopt
    >>> conflictopt.make("grad_norm", form="one_sided").cap
    100.0
    """
    cls = method_class(name)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = [k for k in hyper_parameters if k not in fields]
    if unknown:
        known = ", ".join(fields) if fields else "none"
        raise MethodError(f"method '{name}' has no option {unknown}; its options: {known}.")
    missing = [k for k, f in fields.items() if _required(f) and k not in hyper_parameters]
    if missing:
        raise MethodError(f"method '{name}' needs the option {missing}.")
    try:
        return cls(**hyper_parameters)
    except TypeError as error:
        given = ", ".join(f"{k}={v!r}" for k, v in hyper_parameters.items())
        raise MethodError(f"method '{name}' cannot take {given}: {error}.") from error


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def to_config(aggregator: Aggregator) -> list[dict[str, Any]] | None:
    """A registered method, or a chain of them, as plain data; ``None`` for others."""
    members = aggregator.members if isinstance(aggregator, Chain) else (aggregator,)
    names = {path.rpartition(":")[2]: name for name, path in METHODS.items()}
    config = []
    for m in members:
        name = names.get(type(m).__name__)
        if name is None or type(m) is not method_class(name):
            return None
        options = {f.name: getattr(m, f.name) for f in dataclasses.fields(m)}  # type: ignore[arg-type]
        config.append({"name": name, "options": options})
    return config


def summary(name: str | None) -> str:
    """What a method does, in a clause."""
    if name not in METHODS:
        return "a method of your own"
    found = (method_class(name).__doc__ or "").strip().splitlines()[0]
    return found[0].lower() + found[1:].rstrip(".")


def reads_residuals(name: str) -> bool:
    """Whether a method needs the residuals beside the losses."""
    return name in METHODS and bool(method_class(name).needs & READS_RESIDUALS)


def describe() -> list[dict[str, Any]]:
    """One record per method, as plain data.

    Name, family, summary, source, needs, ``passes`` (backward passes per step, as an expression in
    K, N, the number of residual entries, and the options), ``claim`` and options with defaults.
    """
    rows: list[dict[str, Any]] = []
    for name in METHODS:
        cls = method_class(name)
        rows.append(
            {
                "name": name,
                "family": cls.family,
                "summary": (cls.__doc__ or "").strip().splitlines()[0],
                "source": cls.source,
                "needs": cls.needs.words,
                "passes": cls.passes,
                "claim": cls.claim,
                "options": {
                    f.name: None if _required(f) else f.default
                    for f in dataclasses.fields(cls)  # type: ignore[arg-type]
                },
            }
        )
    return rows
