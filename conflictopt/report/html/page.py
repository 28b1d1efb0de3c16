"""The page of a diagnosis: what it shows, by the names of its template."""

from __future__ import annotations

from ...diagnosis.numbers import DiagnosisNumbers
from ...wording import capital, counted, joined
from ..content import ReportContent
from ..figures.figure import images
from ..figures.trainings import drawable, trainings_image
from ..glossary import terms
from ..measured_words import agreement_sentence, certainty_sentence, conflict_sentence
from ..trainings import brought
from ..verdict import explanation, headline
from .diagnosis_tables import check_table, layer_table, loss_table, odds_table, pair_table
from .render import data_uri, render
from .replay_tables import coefficient_table, replay_table
from .rule_tables import plan_table, threshold_table

_TITLE = "Gradient conflict report"


def page(content: ReportContent) -> str:
    """One HTML file with its figures in it; nothing is fetched when it is read.

    Raises:
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    diagnosis = content.diagnosis
    decided = not (diagnosis.too_short or diagnosis.too_close)
    return render(
        "diagnosis.html.j2",
        title=_TITLE,
        about=_about(content),
        kind=diagnosis.regime if decided else "undecided",
        headline=capital(headline(diagnosis)),
        explanation=explanation(diagnosis),
        content=content,
        advice=content.advice,
        terms=terms(diagnosis),
        certainty=certainty_sentence(diagnosis),
        agreement=f"{agreement_sentence(diagnosis)} {conflict_sentence(diagnosis)}",
        images={name: data_uri(png) for name, png in _images(content).items()},
        brought=brought(content.trainings),
        angle=f"{content.replays[0].angle:g}" if content.replays else "",
        tables={
            **_measured(diagnosis),
            "replays": replay_table(content.replays),
            "coefficients": coefficient_table(diagnosis.profile.names, content.replays),
            "plans": plan_table(content.rule, diagnosis.situation),
            "thresholds": threshold_table(content.rule, diagnosis.thresholds),
        },
    )


def _images(content: ReportContent) -> dict[str, bytes]:
    made = images(content.diagnosis)
    if drawable(content.trainings):
        made["trainings"] = trainings_image(content.trainings)
    return made


def _about(content: ReportContent) -> str:
    diagnosis, script = content.diagnosis, content.script
    first, last = diagnosis.steps
    samples = counted(diagnosis.samples, "sample")
    names = joined([s.name for s in diagnosis.losses])
    of = f"{script.path}: " if script is not None else ""
    return f"{of}{samples} of steps {first} to {last}; losses: {names}."


def _measured(diagnosis: DiagnosisNumbers) -> dict[str, object]:
    """The tables of numbers; ``None`` for those that there is nothing to fill with."""
    several = bool(diagnosis.pairs)
    return {
        "odds": odds_table(diagnosis),
        "checks": check_table(diagnosis) if several else None,
        "pairs": pair_table(diagnosis) if several else None,
        "losses": loss_table(diagnosis),
        "layers": layer_table(diagnosis) if several and diagnosis.blocks else None,
    }
