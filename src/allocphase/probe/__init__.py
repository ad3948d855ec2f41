"""What one process measures, and what it leaves: where those who run meet those who read.

    kinds         the kinds of operation, by name
    arrays        latencies, events and checkpoints as numpy arrays in one .npz
    result        what the driver's own JSON must look like, probe by probe
    consistency   whether a process's arrays can be those of its trace

Place in the pipeline: between process and store. A leaf: starts nothing, reads no run directory.
"""
