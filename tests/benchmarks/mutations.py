"""The faults that `tests.benchmarks.mutants` plants: by area, the mistakes of an engineer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A fault to plant.

    Attributes:
        name: What is wrong, in words.
        file: The file that it is planted in.
        old: The text that is replaced; it occurs exactly once.
        new: The text in its place.
        tests: The files of the tests that should find it, the quickest ones.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


FANS = (
    Mutant(
        "fan_in and fan_out of a dense kernel change places",
        "kerasinit/_src/network/readings.py",
        "return Reading(shape[0], shape[1], (0,), (1,))",
        "return Reading(shape[1], shape[0], (0,), (1,))",
        ("tests/network/test_kernels.py",),
    ),
    Mutant(
        "strides do not count in a convolution's fan_out",
        "kerasinit/_src/network/readings.py",
        "_ratio(window * shape[-1], groups * _area(layer))",
        "_ratio(window * shape[-1], groups)",
        ("tests/network/test_kernels.py",),
    ),
    Mutant(
        "a GRU has the four gates of an LSTM",
        "kerasinit/_src/network/catalogue.py",
        '"GRUCell", "steps", kernels=readings.recurrent(3)',
        '"GRUCell", "steps", kernels=readings.recurrent(4)',
        ("tests/network/test_kernels.py",),
    ),
    Mutant(
        "an axis of independent kernels counts in fan_out",
        "kerasinit/_src/network/readings.py",
        "if weights[axis] in outputs and axis not in batch)",
        "if weights[axis] in outputs)",
        ("tests/network/test_kernels.py",),
    ),
    Mutant(
        "axes counted from the end stay negative",
        "kerasinit/_src/theory/fans.py",
        "position = axis % len(shape)",
        "position = axis",
        ("tests/network/test_fans.py",),
    ),
)

MASKS = (
    Mutant(
        "a mask shares its memory with the array it came from",
        "kerasinit/_src/mask_arrays.py",
        "array = array.copy()",
        "array = array.view()",
        ("tests/test_masks.py",),
    ),
    Mutant(
        "masks are within others if nothing was removed",
        "kerasinit/_src/mask_arrays.py",
        "np.any(self[name] & ~other[name])",
        "np.any(other[name] & ~self[name])",
        ("tests/test_masks.py",),
    ),
    Mutant(
        "masks of fewer weights are within others",
        "kerasinit/_src/mask_arrays.py",
        "return list(self) == list(other) and not any(",
        "return set(self) <= set(other) and not any(",
        ("tests/test_masks.py",),
    ),
    Mutant(
        "masks are equal if that of one weight is",
        "kerasinit/_src/mask_arrays.py",
        "return list(self) == list(other) and all(",
        "return list(self) == list(other) and any(",
        ("tests/test_masks.py",),
    ),
    Mutant(
        "a mask fits if it has the number of axes",
        "kerasinit/_src/mask_arrays.py",
        "tuple(shapes[name]) != self[name].shape\n",
        "len(shapes[name]) != self[name].ndim\n",
        ("tests/test_masks.py",),
    ),
)

SELECTION = (
    Mutant(
        "of equal scores the last stay",
        "kerasinit/_src/mask_arrays.py",
        "np.flatnonzero(values == smallest_kept)[:missing]",
        "np.flatnonzero(values == smallest_kept)[-missing:]",
        ("tests/pruning/test_selection.py",),
    ),
    Mutant(
        "a mask that has as many as asked for is not updated",
        "kerasinit/_src/pruning/patterns.py",
        "revives = requested > tf.reduce_sum",
        "revives = requested >= tf.reduce_sum",
        ("tests/pruning/test_blocks.py",),
    ),
    Mutant(
        "weights of a negative sign grow when they shrink",
        "kerasinit/_src/lottery/method/criteria.py",
        "np.abs(final) - np.abs(initial)",
        "np.abs(final) - initial",
        ("tests/lottery/test_survivors.py",),
    ),
    Mutant(
        "global scope keeps the best of each layer on top",
        "kerasinit/_src/lottery/method/survivors.py",
        "keep_largest(everything, target - len(masks), among=others)",
        "keep_largest(everything, target, among=others)",
        ("tests/lottery/test_survivors.py",),
    ),
    Mutant(
        "the smallest remainders are rounded up",
        "kerasinit/_src/lottery/method/scopes.py",
        "key=lambda i: whole[i] - exact[i]",
        "key=lambda i: exact[i] - whole[i]",
        ("tests/lottery/test_scopes.py",),
    ),
    Mutant(
        "a layer's own rate is found by its layer's name alone",
        "kerasinit/_src/lottery/method/scopes.py",
        "fnmatchcase(layer, pattern) or fnmatchcase(name, pattern)",
        "fnmatchcase(layer, pattern)",
        ("tests/lottery/test_scopes.py",),
    ),
)

REWIND = (
    Mutant(
        "a learning rate rewind keeps the optimizer's state",
        "kerasinit/_src/lottery/method/rewinds.py",
        'keeps_optimizer = rewind.kind == "lr"',
        "keeps_optimizer = False",
        ("tests/lottery/test_rewinds.py",),
    ),
    Mutant(
        "removed weights lend their values to survivors",
        "kerasinit/_src/lottery/method/rewinds.py",
        "random.permutation(first[mask])",
        "random.permutation(first.reshape(-1))[: np.count_nonzero(mask)]",
        ("tests/lottery/test_rewinds.py",),
    ),
    Mutant(
        "the moments of removed weights are not cleared",
        "kerasinit/_src/training/trainer.py",
        "masked[name] = np.where(masks[owner], masked[name], np.zeros((), state[name].dtype))",
        "pass",
        ("tests/lottery/test_trainer.py",),
    ),
    Mutant(
        "what an optimizer divides by nothing stays",
        "kerasinit/_src/training/held_masks.py",
        "tf.math.multiply_no_nan(compat.tensor(variable), mask)",
        "compat.tensor(variable) * mask",
        ("tests/lottery/test_optimizers.py",),
    ),
    Mutant(
        "a copy of the first weights outlives them",
        "kerasinit/_src/training/trainer.py",
        "masked[name] = state[weight]",
        "pass",
        ("tests/lottery/test_optimizers.py",),
    ),
    Mutant(
        "of equal validation losses the last is the early stop",
        "kerasinit/_src/training/trainer.py",
        "point.validation_loss < best.validation_loss",
        "point.validation_loss <= best.validation_loss",
        ("tests/lottery/test_trainer.py",),
    ),
    Mutant(
        "random masks are drawn with replacement",
        "kerasinit/_src/lottery/method/controls.py",
        "random.choice(masks.size, masks.kept, replace=False)",
        "random.choice(masks.size, masks.kept)",
        ("tests/lottery/test_controls.py",),
    ),
    Mutant(
        "reinitialized controls of all levels begin alike",
        "kerasinit/_src/lottery/trial.py",
        "named_variables(self._make_model(control, level))",
        "named_variables(self._make_model(control))",
        ("tests/lottery/test_controls.py",),
    ),
)

VERDICT = (
    Mutant(
        "a tie speaks for being greater",
        "kerasinit/_src/theory/permutation.py",
        "self._p(self._means <= threshold + _UNIT / 2)",
        "self._p(self._means < threshold - _UNIT / 2)",
        ("tests/lottery/test_verdict.py",),
    ),
    Mutant(
        "confidence bounds are one subset too narrow",
        "kerasinit/_src/theory/permutation.py",
        "self._means[rank - 1], self._means[-rank]",
        "self._means[rank], self._means[-rank - 1]",
        ("tests/lottery/test_verdict.py",),
    ),
    Mutant(
        "a later early stop is a better one",
        "kerasinit/_src/lottery/proof/winning.py",
        '"best_iteration", late, False)',
        '"best_iteration", late, True)',
        ("tests/lottery/test_verdict.py",),
    ),
    Mutant(
        "a dense network that is missing is not missed",
        "kerasinit/_src/lottery/proof/winning.py",
        "for p in [*dense, *places])",
        "for p in places)",
        ("tests/lottery/test_verdict.py",),
    ),
    Mutant(
        "the first condition to be settled settles a win",
        "kerasinit/_src/lottery/proof/winning.py",
        "None if None in in_favor else max(in_favor)",
        "None if None in in_favor else min(in_favor)",
        ("tests/lottery/test_verdict.py",),
    ),
)

BEST = (
    Mutant(
        "the best of a comparison is found by one-sided tests",
        "kerasinit/_src/comparison/winner.py",
        "2 * Differences(ranks).p_greater(0)",
        "Differences(ranks).p_greater(0)",
        ("tests/comparison/test_verdict.py",),
    ),
    Mutant(
        "the best of a comparison need beat one other only",
        "kerasinit/_src/comparison/winner.py",
        "all(one.beaten for one in self.rivals)",
        "any(one.beaten for one in self.rivals)",
        ("tests/comparison/test_verdict.py",),
    ),
    Mutant(
        "a leader that diverged counts as even",
        "kerasinit/_src/comparison/winner.py",
        "0.0 if one == another else another - one",
        "0.0 if one == another or one == float('inf') else another - one",
        ("tests/comparison/test_verdict.py",),
    ),
    Mutant(
        "the law of a truncated normal has the standard deviation after truncation",
        "kerasinit/_src/initializers/laws.py",
        "Normal(0.0, stddev / TRUNCATED_STDDEV, -2.0, 2.0)",
        "Normal(0.0, stddev, -2.0, 2.0)",
        ("tests/initializers/test_laws.py",),
    ),
    Mutant(
        "a histogram shows counts",
        "kerasinit/_src/comparison/initializer_histograms.py",
        "np.histogram(values, number, density=True)",
        "np.histogram(values, number)",
        ("tests/comparison/test_initializer_histograms.py",),
    ),
    Mutant(
        "a plan is drawn with its widths swapped",
        "kerasinit/_src/shrinking/plan_show.py",
        '"after": [one for _, one in widths]',
        '"after": [one for one, _ in widths]',
        ("tests/reports/test_plots.py",),
    ),
)

VERIFY = (
    Mutant(
        "values are compared and not bits",
        "kerasinit/_src/lottery/proof/proofs.py",
        "and a.tobytes() == b.tobytes()",
        "and np.array_equal(a, b)",
        ("tests/lottery/test_proofs.py",),
    ),
    Mutant(
        "removed weights may be negative",
        "kerasinit/_src/lottery/proof/proofs.py",
        "np.flatnonzero((value != 0) & ~mask)",
        "np.flatnonzero((value > 0) & ~mask)",
        ("tests/lottery/test_proofs.py",),
    ),
    Mutant(
        "reinitialized weights may be those of the rewind point",
        "kerasinit/_src/lottery/proof/proofs.py",
        "same_bits(mine, theirs) or (later",
        "same_bits(mine, theirs) and (later",
        ("tests/lottery/test_proofs.py",),
    ),
    Mutant(
        "reinitialized controls are expected to start late",
        "kerasinit/_src/lottery/experiment.py",
        "fresh = level == 0 or (branch in CONTROLS and CONTROLS[branch].fresh)",
        "fresh = level == 0",
        ("tests/lottery/test_proofs.py",),
    ),
    Mutant(
        "the digests of files are not compared",
        "kerasinit/_src/lottery/store/manifest.py",
        "not (folder / name).is_file() or sha256(folder / name) != listed[name]",
        "not (folder / name).is_file()",
        ("tests/lottery/test_verify.py",),
    ),
    Mutant(
        "the dense network is forgotten before one-shot levels",
        "kerasinit/_src/lottery/proof/verification.py",
        "if place.level != 2:",
        "if place.level >= 2:",
        ("tests/lottery/test_verify.py",),
    ),
)

RESUME = (
    Mutant(
        "what was best before a checkpoint is forgotten",
        "kerasinit/_src/training/checkpoint.py",
        'best=course["best"],',
        "best=None,",
        ("tests/lottery/test_unkillable.py",),
    ),
    Mutant(
        "XLA compiles convolutions on a CPU, too",
        "kerasinit/_src/training/xla.py",
        "or not convolves(function)",
        "or True",
        ("tests/lottery/test_compilation.py",),
    ),
    Mutant(
        "a run resumes with the choice of another device",
        "kerasinit/_src/lottery/loop.py",
        "if experiment.xla is not None:\n        return experiment\n",
        "return experiment\n",
        ("tests/lottery/test_compilation.py",),
    ),
    Mutant(
        "the sum of losses begins again at a checkpoint",
        "kerasinit/_src/training/checkpoint.py",
        'total=course["total"],',
        "total=0.0,",
        ("tests/lottery/test_unkillable.py",),
    ),
    Mutant(
        "the best measurement of a checkpoint is its last",
        "kerasinit/_src/training/checkpoint.py",
        'best=course["best"],',
        'best=len(tensors["curve"]) - 1,',
        ("tests/lottery/test_checkpoint.py",),
    ),
    Mutant(
        "a checkpoint's digest leaves out its words",
        "kerasinit/_src/training/checkpoint.py",
        "json.dumps(dict(words), sort_keys=True) + digest_of(tensors)",
        "digest_of(tensors)",
        ("tests/lottery/test_checkpoint.py",),
    ),
    Mutant(
        "after the first checkpoint one is always due",
        "kerasinit/_src/training/checkpoint.py",
        "_digest(words, tensors)})\n        )\n        self._written = time.monotonic()",
        "_digest(words, tensors)})\n        )",
        ("tests/lottery/test_checkpoint.py",),
    ),
    Mutant(
        "arrays of other types have the same digest",
        "kerasinit/_src/training/checkpoint.py",
        "{name}\\x1f{array.dtype.str}\\x1f{array.shape}",
        "{name}\\x1f{array.shape}",
        ("tests/lottery/test_checkpoint.py",),
    ),
    Mutant(
        "checkpoints of unfinished trainings are swept away",
        "kerasinit/_src/lottery/store/store.py",
        "if self.has(place):\n                    self.checkpoint_path",
        "if not self.has(place):\n                    self.checkpoint_path",
        ("tests/lottery/test_unkillable.py",),
    ),
    Mutant(
        "a pruned model that is loaded again forgets its zeros",
        "kerasinit/_src/pruning/session.py",
        "if not self._restored:\n            self.pruner.mask_zeros()",
        "if self._restored:\n            self.pruner.mask_zeros()",
        ("tests/pruning/test_resume.py",),
    ),
    Mutant(
        "a pruning that goes on at epoch one begins anew",
        "kerasinit/_src/pruning/session.py",
        "elif epoch > 0 and",
        "elif epoch > 1 and",
        ("tests/pruning/test_resume.py",),
    ),
    Mutant(
        "an update that was begun does not count as a step behind",
        "kerasinit/_src/pruning/session.py",
        "behind = -(-epoch * batches // every)",
        "behind = epoch * batches // every",
        ("tests/pruning/test_steps.py",),
    ),
    Mutant(
        "a step that a loop has counted is counted again",
        "kerasinit/_src/pruning/session.py",
        "self._go_to(*self._before_ahead)\n            self._before_ahead = None",
        "self._before_ahead = None",
        ("tests/pruning/test_steps.py",),
    ),
)

JUDGE = (
    Mutant(
        "chance is that of linear units",
        "kerasinit/_src/theory/limits.py",
        "_SPREAD = 5.0",
        "_SPREAD = 2.0",
        ("tests/diagnosis/test_judge.py",),
    ),
    Mutant(
        "the drift of a product is left out",
        "kerasinit/_src/theory/limits.py",
        "max(harm, variance / 2 + quantile(judgements) * math.sqrt(variance))",
        "max(harm, quantile(judgements) * math.sqrt(variance))",
        ("tests/diagnosis/test_judge.py",),
    ),
    Mutant(
        "the chance of dead units is that of one more",
        "kerasinit/_src/theory/limits.py",
        "special.bdtrc(dead - 1, units, 0.5)",
        "special.bdtrc(dead, units, 0.5)",
        ("tests/diagnosis/test_judge.py",),
    ),
    Mutant(
        "more seeds do not make a finding rarer",
        "kerasinit/_src/diagnosis/findings.py",
        "4 * max(1, kernels) * times",
        "4 * max(1, kernels)",
        ("tests/diagnosis/test_judge.py",),
    ),
    Mutant(
        "chance goes on adding up after a normalization",
        "kerasinit/_src/diagnosis/activations.py",
        "states.append(_origin(row.signal))",
        "own = _origin(row.signal)\n"
        "            chance = origin.variance if origin else 0.0\n"
        "            states.append(own and dataclasses.replace(own, variance=chance))",
        ("tests/diagnosis/test_judge.py",),
    ),
    Mutant(
        "the first kernel is taken for the head",
        "kerasinit/_src/diagnosis/findings.py",
        "return self.kernels_after[place] > 0",
        "return self.kernels_before[place] == 0",
        ("tests/diagnosis/test_judge.py",),
    ),
    Mutant(
        "what is not finite is judged as well",
        "kerasinit/_src/diagnosis/single_layers.py",
        "review.keep_first(place)",
        "review.keep_first(place + 1)",
        ("tests/diagnosis/test_diagnose.py",),
    ),
    Mutant(
        "gradients may vanish by what normalizations let them grow",
        "kerasinit/_src/diagnosis/gradients.py",
        "harm) + end.averaged",
        "harm) + end.growth",
        ("tests/diagnosis/test_judge.py",),
    ),
)

PROMISES = (
    Mutant(
        "a public function is no longer public",
        "kerasinit/__init__.pyi",
        "from kerasinit._src.theory.gains import gain as gain\n",
        "",
        ("tests/golden/test_names.py",),
    ),
    Mutant(
        "a parameter of a public function needs its name",
        "kerasinit/_src/whole_models/from_batch/layer_sequential.py",
        "    batch: Any,\n    *,\n    tolerance: float = 0.1,",
        "    *,\n    batch: Any,\n    tolerance: float = 0.1,",
        ("tests/golden/test_names.py",),
    ),
    Mutant(
        "the digests in saved configurations are computed in another way",
        "kerasinit/_src/initializers/saved_values.py",
        'digest.update(f"{array.dtype.name}{array.shape}".encode())',
        'digest.update(f"{array.shape}{array.dtype.name}".encode())',
        ("tests/golden/test_files.py",),
    ),
    Mutant(
        "addresses of the playground separate the sides in another way",
        "kerasinit/_src/playground/settings.py",
        'side, dot, inner = name.partition(".")',
        'side, dot, inner = name.partition("-")',
        ("tests/golden/test_files.py",),
    ),
    Mutant(
        "a table of a run has another column",
        "kerasinit/_src/lottery/report/exports.py",
        """            "branch": place.branch,
            "density": store.stage(place).row().density,
            **dataclasses.asdict(point),
        }
        for place in store.places()
        if store.has(place)
        for point in store.stage(place).curve()
    )
    names = ["trial", "level", "branch", "density"]""",
        """            "branch": place.branch,
            "left": store.stage(place).row().density,
            **dataclasses.asdict(point),
        }
        for place in store.places()
        if store.has(place)
        for point in store.stage(place).curve()
    )
    names = ["trial", "level", "branch", "left"]""",
        ("tests/golden/test_files.py",),
    ),
)

MUTANTS = {
    "fans": FANS,
    "masks": MASKS,
    "selection": SELECTION,
    "rewind": REWIND,
    "verdict": VERDICT,
    "best": BEST,
    "verify": VERIFY,
    "resume": RESUME,
    "judge": JUDGE,
    "promises": PROMISES,
}
