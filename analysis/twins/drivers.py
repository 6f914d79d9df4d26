# ---
# jupyter:
#   jupytext:
#     formats: ipynb,twins//py:percent
#     notebook_metadata_filter: language_info
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   language_info:
#     name: python
# ---

# %% [markdown]
# # What drives ReSet?
#
# ReSet with one decoding strategy in place of four, and with one of the three judges left out. The
# question is which part matters.
#
# **How to read it.** The differences of the table are *variant minus ReSet*: below 0 the part that
# was left out had helped. The lower half of the figure shows them the other way round, ReSet minus
# the variant, so that right of 0 speaks for ReSet throughout.

# %%
from pathlib import Path

import pandas as pd

from reproduce import figures
from reproduce.plotting import read_table

# %matplotlib inline
pd.set_option("display.max_columns", None)

# %% tags=["parameters"]
PROFILE = ".."  # the folder of a profile: ".." or "../profiles/smollm2"

# %%
TABLES = Path(PROFILE) / "paper" / "tables"

# %% [markdown]
# ## Variants with less
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/drivers.md` is the
# same table with its caption.

# %%
read_table(TABLES, "drivers").round(3)

# %% [markdown]
# ## The figure
#
# Look at the lower row, "Variants of ReSet". Blue: the interval excludes 0.

# %%
figures.controls(TABLES)
