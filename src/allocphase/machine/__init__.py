"""The machine that measures.

    environment   what it is, for run.json, and which CPUs to time on
    quota         how much CPU time its control groups leave a process
    kernel_file   the kernel's one-line files, from which most of that is read
    fingerprint   which facts figures depend on, and where those of two runs differ
    disturbance   what else happened on it while a process was timed
    lock          one timed process at a time, whoever started it

Place in the pipeline: beside trace; knows nothing of allocators or runs.
"""
