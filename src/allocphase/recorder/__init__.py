"""Programs recorded: the malloc calls of a command and of all that it starts.

    events      the vocabulary: what a recording says, as arrays and facts
    columns     events as streams of bytes, and back
    event_file  the file of one process

Place in the pipeline: a maker, before trace files.
"""
