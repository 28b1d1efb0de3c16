"""Section: what was run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

from ....wording import counted
from .. import family
from ..markdown import code, escape, table
from ..report_section import Csv, ReportSection
from ..statistics.inventory import Inventory, outcome
from ..statistics.pairing import counted_error
from ..study import Study
from ..study_findings import StudyFindings


def what_was_run(findings: StudyFindings) -> ReportSection:
    """Problems, methods, settings, circumstances, and what did not end well or is missing."""
    study, kept = findings.study, findings.inventory
    seeds = ", ".join(map(str, study.seeds))
    paragraphs = (
        f"Budget {code(study.budget)}; seeds {seeds}.",
        _families(study),
        _methods(study, kept),
        "### Settings",
        *_settings(kept),
        "### Circumstances",
        *_circumstances(study, kept),
        "### Runs that failed or diverged",
        _not_ok(kept),
        "### Missing runs",
        _missing(study, kept),
    )
    return ReportSection("What was run", paragraphs, (_runs_csv(study), _settings_csv(study, kept)))


def _families(study: Study) -> str:
    rows = []
    for name in study.families:
        members = study.members(name)
        losses = sorted({str(r.record.get("K")) for r in study.runs if r.family == name})
        runs = sum(r.family == name for r in study.runs)
        rows.append([escape(family.title(name)), str(len(members)), ", ".join(losses), str(runs)])
    rows.append(["all", str(len(study.problems)), "", str(len(study.runs))])
    return table(("family", "problems", "losses K", "runs"), rows, "lr")


def _methods(study: Study, kept: Inventory) -> str:
    seen = {k for counts in kept.outcomes.values() for k in counts}
    others = sorted(seen - {"ok", "diverged", "failed", "missing"})
    endings = ("ok", "diverged", "failed", *others, "missing")
    rows = []
    for method in study.methods:
        counts = kept.outcomes[method]
        options = [o for o in kept.options[method] if o != "{}"]
        rows.append(
            [
                code(method),
                *(str(counts[k]) for k in endings),
                "; ".join(code(o) for o in options),
            ]
        )
    total = sum(kept.outcomes.values(), Counter[str]())
    rows.append(["all", *(str(total[k]) for k in endings), ""])
    header = ["method", *endings, "options, defaults included"]
    return table(header, rows, "l" + "r" * len(endings) + "l")


def _settings(kept: Inventory) -> list[str]:
    found = []
    if kept.settings:
        rows = [[code(k), code(json.dumps(v))] for k, v in kept.settings.items()]
        found.append(table(("setting of all runs", "value"), rows, "ll"))
    if kept.by_problem:
        names = ", ".join(map(code, kept.by_problem))
        found.append(f"Set per problem, the same for all methods: {names} (`tables/settings.csv`).")
    if kept.by_run:
        names = ", ".join(map(code, kept.by_run))
        found.append(
            f"**Different between runs of one problem:** {names} (`tables/settings.csv`). "
            "Comparisons include the effect of these."
        )
    return found or ["The records hold no settings."]


def _circumstances(study: Study, kept: Inventory) -> list[str]:
    rows = []
    for what, seen in (
        ("versions", kept.versions),
        ("machine", kept.machines),
        ("digest of the training sources", kept.sources),
    ):
        rows += [[what, escape(text), str(n)] for text, n in seen.items()]
    found = [table(("", "recorded", "runs"), rows, "llr")]
    started = sorted(str(r.record["started"]) for r in study.runs if r.record.get("started"))
    if started:
        found.append(f"Started between {started[0]} and {started[-1]}.")
    return found


def _not_ok(kept: Inventory) -> str:
    if not kept.not_ok:
        return "None."
    rows = [
        [code(r.problem), code(r.method), str(r.seed), outcome(r), escape(r.message or "")]
        for r in kept.not_ok
    ]
    return table(("problem", "method", "seed", "ended", "message"), rows, "llrll")


def _missing(study: Study, kept: Inventory) -> str:
    if not kept.missing:
        return "None: every method has every problem and seed."
    lines = []
    for method in study.methods:
        seeds: dict[str, list[str]] = defaultdict(list)
        for problem, m, seed in kept.missing:
            if m == method:
                seeds[problem].append(str(seed))
        if seeds:
            cells = [
                code(p) if len(s) == len(study.seeds) else f"{code(p)} ({', '.join(s)})"
                for p, s in seeds.items()
            ]
            total = sum(map(len, seeds.values()))
            lines.append(f"- {code(method)}, {counted(total, 'run')}: {', '.join(cells)}")
    return (
        "A problem without numbers lacks all seeds; else the seeds in brackets are missing.\n\n"
        + "\n".join(lines)
    )


def _runs_csv(study: Study) -> Csv:
    header = ["problem", "family", "K", "method", "seed", "status", "error", "counted_error"]
    header += ["steps", "cpu_time_s", "wall_time_s", "parameters", "regime", "choice", "message"]
    rows = []
    for r in study.runs:
        key = [r.problem, r.family, r.record.get("K"), r.method, r.seed]
        result = [r.status, r.error, counted_error(study, r), r.steps, r.cpu_time_s]
        rest = [r.record.get("wall_time_s"), r.parameters, r.regime, r.choice, r.message]
        rows.append([*key, *result, *rest])
    return Csv("runs", header, rows)


def _settings_csv(study: Study, kept: Inventory) -> Csv:
    keys = (*kept.by_problem, *kept.by_run)
    rows = [
        [r.problem, r.method, r.seed, key, json.dumps((r.record.get("settings") or {}).get(key))]
        for r in study.runs
        for key in keys
    ]
    return Csv("settings", ["problem", "method", "seed", "setting", "value"], rows)
