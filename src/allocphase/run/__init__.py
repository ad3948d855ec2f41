"""Runs: from what was asked for to a run directory that has all of it.

    request        what was asked for
    plan           which processes, in which order: pure
    prepare        the run directory, up to the moment before its first process
    describe       what run.json says of it
    session        the processes, one after the other, each on disk before the next one
    failed         what is kept of failed processes, to repeat them
    restore        run.json read back into a plan
    resume         a run that was broken off, opened again
    traces         the traces of a run, while it lasts
    progress_bar   one line on a terminal, drawn between processes only

Place in the pipeline: the last of the makers; gate and the commands ask it to run.
"""
