"""The notebooks as they are committed, and the script that runs them.

That they run is shown by ``notebooks/execute.py --small``, not here.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
SWITCH = 'SMALL = os.environ.get("CONFLICTOPT_NOTEBOOKS") == "small"'
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=nbformat.NO_CONVERT)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cell):
    """What a code cell printed and shows as text."""
    kinds = ("text/plain", "text/markdown", "text/html")
    return "\n".join(
        "".join([o.get("text", ""), *[o.get("data", {}).get(kind, "") for kind in kinds]])
        for o in cell.outputs
    )


def test_there_are_notebooks():
    assert [path.name[:3] for path in NOTEBOOKS] == [
        f"{i:02}_" for i in range(1, len(NOTEBOOKS) + 1)
    ]
    assert NOTEBOOKS


def test_format_and_metadata(notebook):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert set(notebook.metadata.get("language_info", {})) <= {"name"}


def test_ids_are_readable_and_cells_carry_no_timing(notebook):
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", cell.id), cell.id
        assert not re.fullmatch(r"[0-9a-f]{8}", cell.id), "an id that an editor made up"
        assert set(cell.metadata) <= {"tags"}


def test_outputs_are_committed_whole(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


def test_outputs_say_nothing_about_the_machine(notebook):
    here = re.escape(str(FOLDER.parent)), re.escape(tempfile.gettempdir())
    banned = re.compile("|".join([*here, r"\bat 0x[0-9a-f]{6}", r"ipykernel_\d"]))
    for cell in code_cells(notebook):
        assert not banned.search(text_of(cell)), cell.id


def test_first_code_cell_has_the_switch_and_no_other_reads_it(notebook):
    first, *others = code_cells(notebook)
    assert SWITCH in first.source
    assert not [cell.id for cell in others if re.search(r"\bSMALL\b", cell.source)]


def test_cells_are_short(notebook):
    assert not [cell.id for cell in code_cells(notebook) if len(cell.source.splitlines()) > 25]


def made(path, *sources):
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def execute(*arguments):
    command = [sys.executable, FOLDER / "execute.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_execute_writes_outputs_and_keeps_the_source_with_out(tmp_path):
    source = made(
        tmp_path / "a.ipynb",
        "import os\nprint(os.environ['CONFLICTOPT_NOTEBOOKS'], os.environ['OMP_NUM_THREADS'])",
    )
    before = source.read_bytes()
    done = execute("--small", "--out", tmp_path / "out", source)
    assert done.returncode == 0, done.stderr
    written = nbformat.read(tmp_path / "out" / "a.ipynb", as_version=4)
    assert written.cells[0].outputs[0].text == "small 1\n"
    assert written.cells[0].metadata == {}
    assert written.cells[0].id == "cell-0"
    assert set(written.metadata.language_info) == {"name"}
    assert source.read_bytes() == before


def test_execute_says_which_cell_failed_and_writes_only_the_others(tmp_path):
    bad = made(tmp_path / "bad.ipynb", "x = 1", "raise ValueError(f'found {x}')", "print('after')")
    good = made(tmp_path / "good.ipynb", "print('full run')")
    before = bad.read_bytes()
    done = execute("--workers", "2", bad, good)
    assert done.returncode == 1
    assert "bad.ipynb: FAILED" in done.stderr
    assert "ValueError: found 1" in done.stderr
    assert bad.read_bytes() == before
    assert "full run" in good.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.ipynb", "good.ipynb"]


def test_execute_refuses_unknown_names():
    done = execute("99_no_such_notebook")
    assert done.returncode == 1
    assert "found '99_no_such_notebook', which is none" in done.stderr


@pytest.mark.slow
def test_the_notebook_on_the_evidence_is_that_of_the_records(tmp_path):
    name = "04_evidence.ipynb"
    command = [sys.executable, FOLDER / "execute.py", "--small", "--out", tmp_path, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made, kept = (nbformat.read(folder / name, as_version=4) for folder in (tmp_path, FOLDER))
    assert [text_of(c) for c in code_cells(made)] == [text_of(c) for c in code_cells(kept)], (
        "make evidence writes it anew"
    )
