"""The whole page, in the order in which it is read."""

from __future__ import annotations

from ..content import Findings
from ..figures.figure import images
from ..glossary import capital, terms
from ..verdict import explanation, headline
from . import parts
from .replays import replayed
from .rests import rests
from .sections import certainty, further, layers, numbers
from .style import STYLE

_TITLE = "Gradient conflict report"


def page(findings: Findings) -> str:
    """One HTML file with its figures in it; nothing is fetched when it is read."""
    drawn = images(findings.diagnosis)
    content = (
        _head(findings),
        _verdict(findings),
        _words(findings),
        certainty(findings, drawn),
        numbers(findings, drawn),
        layers(findings, drawn),
        replayed(findings),
        *further(findings),
        rests(findings),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_TITLE}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, content))
        + "\n</body>\n</html>\n"
    )


def _head(findings: Findings) -> str:
    diagnosis, script = findings.diagnosis, findings.script
    first, last = diagnosis.steps
    names = ", ".join(s.name for s in diagnosis.losses)
    about = f"{diagnosis.samples} samples of steps {first} to {last}; losses: {names}."
    of = f"{script.path}: " if script is not None else ""
    return f"<h1>{_TITLE}</h1>\n{parts.paragraph(of + about, 'about')}"


def _verdict(findings: Findings) -> str:
    diagnosis, advice = findings.diagnosis, findings.advice
    decided = not (diagnosis.too_short or diagnosis.too_close)
    inside = (
        f'<p class="title">{parts.text(capital(headline(diagnosis)))}</p>',
        parts.paragraph(explanation(diagnosis)),
        *map(parts.paragraph, findings.remarks),
        parts.labelled("This run:", findings.done) if findings.done else "",
        parts.labelled("The plan:" if findings.done else "What to do:", advice.action),
        parts.lines(advice.lines),
        parts.labelled("Why:", advice.basis),
        *(parts.labelled("Left out:", note) for note in findings.notes),
    )
    kind = f"verdict {diagnosis.regime}" if decided else "verdict"
    return f'<div class="{kind}">\n' + "\n".join(filter(None, inside)) + "\n</div>"


def _words(findings: Findings) -> str:
    found = parts.definitions(terms(findings.diagnosis))
    return f"<details><summary>What the words mean</summary>\n{found}\n</details>"
