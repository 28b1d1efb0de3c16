"""The package with torch, numpy and scipy alone, and with each extra alone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)

EVERY_METHOD = """
import torch
import conflictopt
from conflictopt.methods.registry import METHODS

for name in METHODS:
    net = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    options = {"weights": {"pde": 1.0, "ic": 2.0}} if name == "constant" else {}
    method = conflictopt.make(name, **options)
    kind = torch.optim.SGD if method.steps_itself else torch.optim.Adam
    opt = conflictopt.MultiLossOptimizer(kind(net.parameters(), lr=1e-3), method)
    if name == "adapters":
        opt.add_adapters(conflictopt.attach(net, ["pde", "ic"]))
    x = torch.linspace(0, 1, 20).reshape(-1, 1)
    points = {"pde": x, "ic": x[:1]}
    for _ in range(3):
        residuals = {"pde": net(x) - x.sin(), "ic": net(x[:1]) - 1}
        opt.step({k: r.square().mean() for k, r in residuals.items()}, residuals, points=points)
    assert opt.last is not None
print(len(METHODS), "methods")
"""

DIAGNOSED = """
import conflictopt, torch
from conflictopt.core.errors import MissingExtraError

net = torch.nn.Linear(1, 1)
recorder = conflictopt.Recorder(steps=30, every=1)
opt = conflictopt.MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=1e-2), recorder)
for _ in range(30):
    x = torch.rand(4, 1)
    opt.step({"a": net(x).square().mean(), "b": (net(x) - 1).square().mean()})
diagnosis = conflictopt.diagnose(opt)
"""

REFUSED = (
    DIAGNOSED
    + """
import importlib
from conflictopt.methods.foreign import GROUP

def refused(extra, action):
    try:
        action()
    except MissingExtraError as error:
        assert isinstance(error, ImportError)
        assert f"pip install 'conflictopt[{extra}]'" in str(error), error
        assert str(error).count("expected") == 1 and "found no module" in str(error)
    else:
        raise AssertionError(extra)

refused("report", lambda: diagnosis.to_html())
refused("report", lambda: diagnosis.plot("profile.png"))
refused("deepxde", lambda: importlib.import_module("conflictopt.integrations.deepxde"))
refused("lab", lambda: importlib.import_module("conflictopt.lab.problems"))
print("refused")
"""
)

COMMAND = "from conflictopt.__main__ import main\nmain()\n"

PATCHED = """
import deepxde as dde
from conflictopt.integrations.deepxde import patch

line = dde.geometry.Interval(0, 1)
residual = lambda x, u: dde.grad.jacobian(u, x, i=0, j=0) + u
start = dde.icbc.DirichletBC(line, lambda x: 1, lambda x, on: on and x[0] < 0.5)
data = dde.data.PDE(line, residual, start, 10, 2)
for method in ("ntk", "auto"):
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot uniform"))
    patch(model, method, **({"profile_steps": 20} if method == "auto" else {}))
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=40, verbose=0, display_every=1000)
print(model.conflictopt.diagnosis.regime)
"""

STUDY = """
from pathlib import Path

from conflictopt.lab.problems import load_suite
from conflictopt.lab.runs.budget import BUDGETS
from conflictopt.methods.expression import MethodExpression
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import StudyTask
from conflictopt.lab.study_report import write_report

if __name__ == "__main__":
    problem = load_suite()["heat_1d"]
    methods = [MethodExpression.parse(text) for text in ("none", "ntk")]
    tasks = [StudyTask(problem, method, 0, BUDGETS["smoke"]) for method in methods]
    run_study(tasks, Path("records"), workers=1)
    print(write_report(load(Path("records")), "study").name)
    assert Path("study/report.html").stat().st_size > 10_000
"""

CLUSTER = """
from conflictopt.lab.runs.cluster import dask_backend

if __name__ == "__main__":
    with dask_backend(2):
        print("a cluster")
"""

FOREIGN = """
import torch, torchjd.aggregation
import conflictopt

net = torch.nn.Linear(2, 1)
opt = conflictopt.MultiLossOptimizer(torch.optim.SGD(net.parameters()), torchjd.aggregation.Mean())
opt.step({"a": net(torch.ones(2)).sum(), "b": net(-torch.ones(2)).square().sum()})
print(opt.last.names)
"""


def good(done, said):
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout
    return done


@pytest.mark.slow
def test_the_readmes_torch_part_needs_torch_numpy_and_scipy_alone(closed):
    done = good(closed("", "\n".join(BLOCKS)), "Verdict: ")
    assert "pde / ic" in done.stdout


@pytest.mark.slow
def test_every_method_needs_torch_numpy_and_scipy_alone(closed):
    good(closed("", EVERY_METHOD), "methods")


@pytest.mark.slow
def test_what_needs_an_extra_says_which(closed):
    good(closed("", REFUSED), "refused")


@pytest.mark.parametrize(
    "extra", ["", *(pytest.param(e, marks=pytest.mark.slow) for e in ("report", "deepxde", "lab"))]
)
def test_the_command_without_its_extra_says_so(closed, extra):
    done = closed(extra, COMMAND, "methods")
    assert done.returncode == 2
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: expected the packages of the extra 'cli'")
    assert "pip install 'conflictopt[cli]'" in line


@pytest.mark.slow
def test_the_report_alone(closed, tmp_path):
    code = DIAGNOSED + 'diagnosis.to_html("page.html")\nprint(diagnosis.plot("profile.png"))'
    good(closed("report", code), "profile.png")
    assert (tmp_path / "page.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("extra", "code", "said"),
    [
        ("deepxde", PATCHED, "\n"),
        ("lab", STUDY, "study\n"),
        ("dask", CLUSTER, "a cluster"),
        ("torchjd", FOREIGN, "('a', 'b')"),
    ],
)
@pytest.mark.slow
def test_an_extra_alone(closed, extra, code, said):
    good(closed(extra, code), said)


@pytest.mark.slow
def test_the_command_with_its_extra(closed, tmp_path):
    good(closed("cli", COMMAND, "methods"), "pcgrad")
    good(closed("cli", COMMAND, "suite", "list"), "heat_1d")
    (tmp_path / "script.py").write_text(PATCHED.partition("for method")[0].replace(
        "from conflictopt.integrations.deepxde import patch\n", "") + """
model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot uniform"))
model.compile("adam", lr=1e-3)
model.train(iterations=40)
""")  # fmt: skip
    good(closed("cli", COMMAND, "diagnose", "script.py", "--profile-steps", "30"), "Verdict: ")


def test_all_is_every_extra_for_users(metadata):
    """No extra of users is left out of ``all``."""
    extras = set(metadata.metadata.get_all("Provides-Extra"))
    named = {
        name
        for text in metadata.requires
        if (found := re.match(r"conflictopt\[(.+)\].*extra == .(\w+).$", text))
        and found[2] in ("all", "cli")
        for name in found[1].split(",")
    }
    assert named | {"all"} == extras - {"bench", "dev", "notebooks", "test"}
