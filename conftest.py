"""What the examples in the docstrings find in the working directory: ``RUN``, a finished run.

Examples of what is done with a lottery run need one. It is trained once, when the first of them
needs it: two trials of one level on the digits, which takes a few seconds.
"""

import shutil

import pytest


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """Return the folder of a finished run."""
    from kerasinit import lottery

    folder = tmp_path_factory.mktemp("finished") / "RUN"
    short = lottery.Experiment(
        levels=1, trials=2, iterations=40, evaluate_every=20, xla=False, controls=("reinit",)
    )
    lottery.run(short, out=folder)
    return folder


@pytest.fixture(autouse=True)
def _folder_of_an_example(request, monkeypatch):
    """Run an example in a folder of its own, with a copy of the run if it names one."""
    if isinstance(request.node, pytest.DoctestItem):
        folder = request.getfixturevalue("tmp_path")
        monkeypatch.chdir(folder)
        if any("RUN" in example.source for example in request.node.dtest.examples):
            shutil.copytree(request.getfixturevalue("finished_run"), folder / "RUN")
