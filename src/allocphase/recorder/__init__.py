"""Programs recorded: the malloc calls of a command and of all that it starts.

    events      the vocabulary: what a recording says, as arrays and facts
    columns     events as streams of bytes, and back
    event_file  the file of one process
    frames      what the drainer says (driver/recorder/drainer)
    tree_files  the files of a command and of all that it starts
    start       a command under the recorder
    summary     what came of it, in lines
    merge       a recording's calls in one order, with the gaps between them
    ahead       made in a thread of their own
    convert     slots and hand-overs of a trace; stacks: free slots; spool: its way to a file
    imported    files that become traces, those of the recorder among them

Place in the pipeline: a maker, before trace files.
"""
