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
# # How much selected data does it take?
#
# ReSet and ReSet-S with a half, a quarter and an eighth of their data, and MTL with other shares
# of instruction-following data. The question is whether quality makes up for quantity.
#
# **How to read it.** `examples` is the number of training examples, a mean over seeds; ReSet's
# come on top of MTL's. A curve that is flat says that a fraction of the data would do; a curve
# above the dashed line of MTL says that further training helped at all.

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
# ## Scores by number of examples
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/data-size.md` is the
# same table with its caption.

# %%
rows_of(TABLES, "data-size", ARMS)

# %% [markdown]
# ## The figure
#
# The number of examples is on a log scale; the grey band is MTL's interval.

# %%
figures.data_size(TABLES)

# %% [markdown]
# ## Training losses
#
# Of the arms of `data-size`, or of `ARMS`, and of `SEED`. Batches hold rows of like length, so
# often of one task, and tasks differ in loss.

# %%
losses_of(TABLES, "data-size", ARMS, SEED)
