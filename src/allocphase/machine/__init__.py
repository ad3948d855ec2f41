"""The machine that measures.

    environment   what it is, for run.json, and which CPUs to time on
    fingerprint   whether two runs had the same one, and the same driver
    disturbance   what else happened on it while a process was timed
    lock          one timed process at a time, whoever started it

Place in the pipeline: beside trace; knows nothing of allocators or runs.
"""
