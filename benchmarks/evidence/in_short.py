"""The two tables of README.md: what helped where, and what a step costs.

The words stand here, and places ``{=NAME}`` for the numbers, which the other modules make.
"""

from __future__ import annotations

from collections.abc import Iterator

from conflictopt.lab.study_report.markdown import table

from ..documents.sections import DocumentSection

DOCUMENT = "README.md"
_REPORTING = "{=reporting problems} problems"
_EVIDENCE = (
    (
        "`auto`",
        "plain Adam, at equal CPU time",
        "{=auto, equal time: problems} problems (above 1.1 on {=auto, equal time: worse})",
        "{=auto, equal time}",
    ),
    (
        "`auto`",
        "plain Adam, at equal CPU time",
        "{=auto, noisy, equal time: problems} inverse problems with noisy data",
        "{=auto, noisy, equal time}",
    ),
    (
        "`auto`",
        "published DeepXDE scripts as they are",
        "{=auto, scripts} scripts (above 1.1 on {=auto, scripts: worse})",
        "{=auto, scripts: ratio}",
    ),
    (
        "plain Adam at a learning rate of {=learning rates: best}",
        "plain Adam at 1e-3",
        "{=learning rates: problems} problems, one seed",
        "{=learning rates: gain}",
    ),
    (
        "`auto` without steps on residuals",
        "plain Adam",
        f"{_REPORTING} (above 1.1 on {{=auto worse, reporting}})",
        "{=auto, reporting}",
    ),
    (
        "`auto` without steps on residuals",
        "{=best as given, reporting}, the best fixed method that adds no parameters",
        _REPORTING,
        "{=auto over best as given, reporting}",
    ),
    (
        "`ntk` on a network with as many more parameters as adapters add",
        "plain Adam",
        _REPORTING,
        "{=wide+ntk, reporting}",
    ),
    (
        "adapters and `ntk`",
        "`ntk` alone",
        _REPORTING,
        "{=adapters:attach=1000+ntk over ntk, reporting}",
    ),
    (
        "adapters and `ntk`",
        "`ntk` on that larger network",
        _REPORTING,
        "{=adapters:attach=1000+ntk over wide+ntk, reporting}",
    ),
    (
        "`config`",
        "plain Adam",
        f"{_REPORTING} (above 1.1 on {{=config worse, reporting}})",
        "{=config, reporting}",
    ),
    (
        "the plan of `auto` at a rate that stays 1e-3",
        "plain Adam",
        "{=screen, constant rate: problems} problems, one seed",
        "{=screen, constant rate: ntk and pcgrad}",
    ),
    (
        "`auto` without steps on residuals in DeepXDE's own examples, cut to 3000 steps",
        "the script as it is",
        "{=deepxde examples} scripts",
        "{=deepxde examples: ratio} (median {=deepxde examples: median})",
    ),
    (
        "the plan of `auto` where a script weights its losses",
        "the script's own weights",
        "{=weighted deepxde examples: scripts} scripts",
        "{=weighted deepxde examples: ratio}",
    ),
)
_COST = (
    (
        "profile, a sample every 10 steps",
        "{=step cost: profile, deepxde}",
        "{=step cost: profile, torch loop}",
    ),
    (
        "reweighting",
        "{=step cost: reweighting, deepxde}",
        "{=step cost: reweighting, torch loop}",
    ),
    (
        "surgery (`pcgrad`, `config`)",
        "{=step cost: surgery, deepxde}",
        "{=step cost: surgery, torch loop}",
    ),
    (
        "surgery by torchjd or conflictfree",
        "{=step cost: other packages, deepxde}",
        "{=step cost: other packages, torch loop}",
    ),
    (
        "adapters of rank 4 and `ntk`, width 50",
        "{=step cost: adapters, deepxde}",
        "{=step cost: adapters, torch loop}",
    ),
)


def in_short() -> Iterator[DocumentSection]:
    """Both tables; their numbers take their places when the document is written."""
    heads = ["what was trained", "compared with", "on", "ratio of errors [95 %]"]
    yield DocumentSection(DOCUMENT, "evidence", table(heads, list(map(list, _EVIDENCE)), "l"))
    heads = ["a step, in plain steps", "DeepXDE", "torch loop"]
    yield DocumentSection(DOCUMENT, "cost", table(heads, list(map(list, _COST)), "l"))
