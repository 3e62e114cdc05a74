"""How the documentation is built: offline, and with warnings as errors."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import splinegeo

project = "splinegeo"
author = "The splinegeo developers"
copyright = "2026, The splinegeo developers"
version = release = splinegeo.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.py", "gallery/**/*.zip"]

html_theme = "furo"
html_title = f"splinegeo {version}"
html_static_path = ["_static"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "code"  # `name` in a docstring is a name of this library or of Python
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"Array": "Array"}
suppress_warnings = [
    "config.cache"  # sphinx-gallery's sort key is a class, which Sphinx cannot store; it is read anew, no harm done
]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(?!plot_)",  # scripts that train, and helpers
    "write_computation_times": False,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "image_scrapers": ("matplotlib",),
}
