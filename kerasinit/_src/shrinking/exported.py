"""What `export` wrote, as plain data and as text."""

from dataclasses import dataclass

from kerasinit._src.reports import base, terminal

_NAMES = {"keras": "Keras", "litert": "LiteRT", "onnx": "ONNX", "saved_model": "SavedModel"}


@dataclass(frozen=True)
class Export(base.Report):
    """The result of `export`: the file, its size, and how far it is from the model.

    Attributes:
        path: The file or folder.
        format: ``"keras"``, ``"litert"``, ``"onnx"`` or ``"saved_model"``.
        quantize: What it was quantized to; None if it was not.
        sparse: Whether weights with many zeros are stored in a sparse format.
        bytes: The size of the file, or of all files in the folder.
        gzipped: Their size after ``gzip -9``.
        examples: The number of examples that the file was checked on; 0 if it was not.
        difference: The largest difference between an output of the file and of the model; None if
            it was not checked.
        relative: That difference divided by the largest absolute output of the model.
        runtime: What ran the file for the check; empty if it was not checked.
        not_checked: Why the file was not checked; empty if it was.

    Example:
        See `export`.
    """

    path: str
    format: str
    quantize: str | None
    sparse: bool
    bytes: int
    gzipped: int
    examples: int
    difference: float | None
    relative: float | None
    runtime: str
    not_checked: str


@base.text.register(Export)
def _text(found: Export) -> str:
    kind = [_NAMES[found.format], found.quantize or "", "sparse" if found.sparse else ""]
    lines = [
        f"{found.path}",
        f"{', '.join(filter(None, kind))}: {found.bytes:,} bytes, {found.gzipped:,} gzipped",
    ]
    if found.not_checked:
        lines.append(f"Not checked against the model: {found.not_checked}")
    else:
        examples = f"{found.examples} example{'s' if found.examples > 1 else ''}"
        lines.append(
            f"Largest difference on {examples} in {found.runtime}: {found.difference:.2g}, or "
            f"{found.relative:.2g} of the largest output"
        )
    # The path is printed unchanged, however long.
    return "\n".join([lines[0], terminal.as_text(100, *lines[1:])])
