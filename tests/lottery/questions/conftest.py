"""A small finished run that questions are asked about; nobody writes into it."""

import pytest

from kerasinit import lottery
from tests.lottery.blobs import blobs, builder

DATA = blobs()
BUILD = builder()
SMALL = lottery.Experiment(
    iterations=30,
    levels=2,
    trials=2,
    batch_size=20,
    evaluate_every=10,
    rate=0.3,
    output_rate=0.15,
    xla=False,
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of two trials and two levels, rewound to iteration 5."""
    from dataclasses import replace

    out = tmp_path_factory.mktemp("questions") / "run"
    return lottery.run(replace(SMALL, rewind="step:5"), out=out, build=BUILD, data=DATA)


@pytest.fixture
def untrained(monkeypatch):
    """A function; once it is called, nothing can be trained any more."""

    def forbid():
        def train(*arguments, **options):
            raise AssertionError("Something was trained again.")

        monkeypatch.setattr("kerasinit._src.training.trainer.Trainer.train", train)

    return forbid
