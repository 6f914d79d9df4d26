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
# # Is it the judges' choice, or just more training?
#
# The same training on randomly chosen candidates, on candidates with shuffled rewards, on the gold
# responses, and one more epoch of MTL. If these do as well as ReSet, the judges' choice is not
# what helped.
#
# **How to read it.** Differences are *method minus control*: above 0 the judges' choice helped. A
# control whose intervals hold 0 on every objective was not told apart from ReSet.

# %%
from pathlib import Path

import pandas as pd

from reproduce.reporting import figures
from views import losses_of, rows_of

# %matplotlib inline
pd.set_option("display.max_columns", None)

# %% tags=["parameters"]
PROFILE = ".."  # the folder of a profile: ".." or "../profiles/smollm2"
ARMS: list[str] = []  # rows to show, by arm or label, such as ["MTL"]; none: all
SEED = None  # whose training losses to show; None: the mean over all seeds

# %%
TABLES = Path(PROFILE) / "paper" / "tables"

# %% [markdown]
# ## The same training without the choice
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/controls.md` is the
# same table with its caption.

# %%
rows_of(TABLES, "controls", ARMS)

# %% [markdown]
# ## The figure
#
# Look at the upper row, "Controls". Blue: the interval excludes 0.

# %%
figures.controls(TABLES)

# %% [markdown]
# ## Training losses
#
# Of the arms of `controls`, or of `ARMS`, and of `SEED`. Batches hold rows of like length, so
# often of one task, and tasks differ in loss.

# %%
losses_of(TABLES, "controls", ARMS, SEED)
