"""Wrong arguments of pruning."""


class ArgumentError(TypeError, ValueError):
    """An argument of the wrong type.

    It is a ``TypeError``, as Python has it, and a ``ValueError``, as tfmot raises it.
    """
