"""A line above each notebook: open it in Colab, once there is a public repository."""

from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

from docs import address

_FOLDER = "notebooks/"


class ColabLink(SphinxTransform):
    """Insert the link below the title of a notebook."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        """Insert it, if the repository has an address."""
        name = self.env.docname
        if not name.startswith(_FOLDER) or not str(self.env.doc2path(name)).endswith(".ipynb"):
            return
        url = address.colab(f"docs/{name}.ipynb", address.repository())
        titles = list(self.document.findall(nodes.title))
        if not url or not titles:
            return
        link = nodes.reference("", "Open in Colab", refuri=url, internal=False)
        title = titles[0]
        title.parent.insert(title.parent.index(title) + 1, nodes.paragraph("", "", link))


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_transform(ColabLink)
    return {"parallel_read_safe": True}
