"""Run a script as if only some packages were installed: ``closed.py MODULES SCRIPT [ARGS]``."""

import runpy
import sys

allowed = set(sys.argv[1].split(","))


class Closed:
    """A finder that finds none of the other packages."""

    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        spec = self.finder.find_spec(name, path, target)
        installed = spec is not None and "site-packages" in (spec.origin or str(spec.loader))
        hidden = installed and path is None and name not in allowed
        return None if hidden else spec


sys.meta_path[:] = map(Closed, sys.meta_path)
# what start files of the environment have imported is not the script's doing
for name in list(sys.modules):
    if "site-packages" in (getattr(sys.modules[name], "__file__", None) or ""):
        del sys.modules[name]
sys.path[:] = [p for p in sys.path if p != __file__.rpartition("/")[0]]
sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
