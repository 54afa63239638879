"""Whether the diagnosis leaves sound networks in peace, and how many passes it takes.

Run as ``python -m tests.benchmarks.diagnosis [SEEDS]``. Promised: no finding, neither on networks
as they come nor after `kerasinit.recommend`, and at most ten passes forward and back.
"""

import sys
import time

import keras
import numpy as np
import tf_keras

import kerasinit
from tests.diagnosis import networks


def sound(library, seed):
    """Yield names, models and batches."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(32, 16, 16, 3)).astype("float32")
    yield "ResNet", networks.resnet(library, size=16), image
    yield "transformer", networks.transformer(library), rng.integers(0, 50, (32, 8))
    mobile = library.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3))
    yield "MobileNetV2", mobile, rng.uniform(-1, 1, (32, 96, 96, 3)).astype("float32")


def main():
    alarms = 0
    for library in (keras, tf_keras):
        for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
            library.utils.set_random_seed(seed)
            for name, model, x in sound(library, seed):
                for how in ("as it comes", "recommended"):
                    if how == "recommended":
                        rules = kerasinit.recommend(model)
                        kerasinit.reinitialize(model, rules, seed=seed)
                    start = time.perf_counter()
                    report = kerasinit.diagnose(model, x)
                    taken = time.perf_counter() - start
                    kinds = [finding.kind for finding in report.findings]
                    alarms += not report.ok or report.measured.passes > 10
                    print(
                        f"{library.__name__:8} seed {seed} {name:12} {how:11} "
                        f"{report.measured.passes} passes {taken:5.1f} s {kinds or 'ok'}",
                        flush=True,
                    )
    print(f"{alarms} false alarms")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
