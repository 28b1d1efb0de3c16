"""The record as Markdown."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]


def page(record: Record) -> str:
    """All tables; medians."""
    lines = [
        "| rows | P | N | ms | of a gradient | peak MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, r in record["rows"].items():
        cells = (f"{r['ms'][1]:.1f}", f"{r['ratio'][1]:.2f}", f"{r['peak_bytes'] / 1e6:.0f}")
        lines.append(f"| {name} | {r['parameters']} | {r['rows']} | {' | '.join(cells)} |")
    lines += ["", "| step | P | part | ms | of an Adam step |", "| --- | --- | --- | --- | --- |"]
    for name, r in record["steps"].items():
        for part, found in r["parts"].items():
            times = f"{found['ms'][1]:.1f} | {found['ratio'][1]:.1f}"
            lines.append(f"| {name} | {r['parameters']} | {part} | {times} |")
    lines += ["", "| Taylor mode, apart | ms | of the usual one |", "| --- | --- | --- |"]
    for name, r in record["taylor"].items():
        lines.append(f"| {name}, width {r['width']} | {r['ms'][1]:.1f} | {r['ratio'][1]:.2f} |")
    lines += ["", "| conjugate gradients | to 1e-2 | to 1e-4 | ms each |"]
    lines += ["| --- | --- | --- | --- |"]
    for name, r in record["conjugate"].items():
        met = r["iterations"]
        counts = [met[t] or f"> {met['most']}" for t in ("0.01", "0.0001")]
        lines.append(f"| {name} | {counts[0]} | {counts[1]} | {met['ms_each']} |")
    return "\n".join(lines)
