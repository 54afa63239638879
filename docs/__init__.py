"""The documentation.

``python -m docs.build`` builds and checks the site, ``python -m docs.pictures`` draws its pictures,
and ``python -m docs.address`` writes what depends on the address of the repository.
"""
