"""A figure that notebooks show without pyplot, imported once matplotlib is needed."""

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A matplotlib figure that is shown as the value of a notebook's cell.

    Notebooks show plain figures only after ``matplotlib.pyplot`` was imported.
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()
