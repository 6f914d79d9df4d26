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
# ReSet with one decoding strategy in place of four, with one of the three judges left out, and with
# one of the two things that ReSet-S adds: more candidates, a stricter selection; and both methods
# with the epochs and the learning rate of MTL (full tuning). The question is which part matters.
#
# **How to read it.** The differences of the table are *ReSet minus variant*: above 0 the variant
# is worse, so what it leaves out had helped, or what it adds does harm. The lower half of the
# figure shows the same, so that right of 0 speaks for ReSet throughout.

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
# ## The variants
#
# Columns that end in `_low` and `_high` are the ends of a bootstrap interval over seeds and
# prompts; `_prompts` and `_seeds` are what it was taken from. `paper/tables/drivers.md` is the
# same table with its caption.

# %%
rows_of(TABLES, "drivers", ARMS)

# %% [markdown]
# ## The figure
#
# Look at the lower row, "Variants of ReSet". Blue: the interval excludes 0.

# %%
figures.controls(TABLES)

# %% [markdown]
# ## Training losses
#
# Of the arms of `drivers`, or of `ARMS`, and of `SEED`. Batches hold rows of like length, so
# often of one task, and tasks differ in loss.

# %%
losses_of(TABLES, "drivers", ARMS, SEED)
