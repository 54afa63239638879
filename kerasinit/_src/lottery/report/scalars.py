"""A run as scalars for TensorBoard."""

import dataclasses
import importlib.util
from pathlib import Path

from kerasinit._src.files import atomic
from kerasinit._src.lottery.store.store import Run, Store


def write_tensorboard(run: Run, folder: str | Path) -> None:
    """Write what was measured as event files, to be looked at with ``tensorboard --logdir``.

    Each training is a run of TensorBoard, such as ``trial-0/level-03/reinit``, with
    ``training_loss``, ``validation_loss`` and ``validation_accuracy`` by iteration.
    Each branch of a trial is one too, such as ``trial-0/reinit``, with ``density``,
    ``test_accuracy``, ``final_test_accuracy`` and ``best_iteration`` by level.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        folder: A new folder.

    Raises:
        FileExistsError: If there is such a folder; nothing is overwritten or added to.
        ImportError: If tensorboard is not installed.
    """
    store = Store.of(run)
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError(
            "Scalars for TensorBoard need tensorboard, which is not installed: "
            "pip install 'kerasinit[tensorboard]'."
        )
    import tensorflow as tf

    def write(name: str, steps: list[tuple[int, dict[str, float]]]) -> None:
        writer = tf.summary.create_file_writer(str(beside / name))
        with writer.as_default():
            for step, values in steps:
                for tag, value in values.items():
                    tf.summary.scalar(tag, value, step=step)
        writer.close()

    by_branch: dict[str, list[tuple[int, dict[str, float]]]] = {}
    with atomic.new_folder(Path(folder)) as beside:
        for place in store.places():
            if not store.has(place):
                continue
            stage = store.stage(place)
            curve = [dataclasses.asdict(point) for point in stage.curve()]
            write(
                f"trial-{place.trial}/level-{place.level:02d}/{place.branch}",
                [(point.pop("iteration"), point) for point in curve],
            )
            row = dataclasses.asdict(stage.row())
            tags = ("density", "test_accuracy", "final_test_accuracy", "best_iteration")
            by_branch.setdefault(f"trial-{place.trial}/{place.branch}", []).append(
                (place.level, {tag: row[tag] for tag in tags})
            )
        for name, steps in by_branch.items():
            write(name, steps)
