"""Where the time of an allocator goes: its call stacks with what each took, as a flame graph.

    stacks        stacks and their tree: what both tools give, and the page draws
    callgrind     instructions, of a replay under callgrind: exact, and blind to the kernel
    perf          samples of a replay or of a program, with the kernel where that is permitted
    profiling     which of the two it is, for all allocators that are to be compared
    page          one HTML page, without a request to anywhere

Place in the pipeline: beside gate and tune, it runs processes and shows what came of them; no run
directory is made.
"""
