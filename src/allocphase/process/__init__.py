"""One driver process, from a job to an outcome.

    driver     the command, and what becomes of it: the boundary that tests replace by a fake
    keeper     limits, and an end that leaves nothing behind (driver/keeper.c)
    watched    what a keeper said of its process
    turns      several that are timed a pass at a time, one of them awake
    progress   where a process was when it ended, from the page that it shares
    repetition the commands that repeat one that failed, for whoever looks into it
    output     the files that it left, read without trust

Place in the pipeline: after trace and allocator, before run.
"""
