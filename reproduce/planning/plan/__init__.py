"""What a study takes on given hardware, reckoned before anything runs.

`counts` says from the configuration what each stage does, `memory` what it holds, `costs` how long
it takes, `limits` what does not fit and `page` how a reader sees it. `memory` reads
the settings of DeepSpeed; only `command` writes a file.
"""
