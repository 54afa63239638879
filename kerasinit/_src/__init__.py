"""The code of the package. What is public is re-exported beside this folder."""
