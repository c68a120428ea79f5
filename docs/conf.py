"""How Sphinx builds the documentation: nothing is fetched, neither here nor by a page."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1])]

from bidsapp import __version__  # noqa: E402 - found by the line above

project = "SynthPrep"
author = "The SynthPrep developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "command_line", "modules"]
# What comes with the software is described within the page on model cards.
exclude_patterns = ["_build", "_ext", "packaged_bundle.md"]
# Headings can be linked to, as on the pages of a repository.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# A bundle's notes are a part of its card, which has the headings above theirs; links out of docs/ lead to files.
suppress_warnings = ["myst.header", "myst.xref_missing"]

# "--option" stays what a person types.
smartquotes = False

html_theme = "alabaster"
html_theme_options = {"description": "The MRI contrast that some visits lack", "fixed_sidebar": True}
html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
