"""Whether a study can run here, asked of the machine, the hub and the servers before it runs.

Each check is a function that returns one line; `lines` runs them, and none of them ends the
others.
"""
