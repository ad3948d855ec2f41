"""From a run directory to tables: what was measured, in numbers with names.

    frames       a run as pandas frames; the cells with their metrics and warnings
    metrics      a cell's metrics out of its processes
    measures     the catalogue of metrics: names, units, probes, and how each is read
    process_metrics    the metrics of one process
    operations   one row an operation, joined over probes
    latency/     the latency of every call, by kind and by cause
    warnings     what a reader must know before he believes a figure
    comparable   whether two runs can be held against each other
    sweep        one scenario at several values of a parameter

Place in the pipeline: after store; before judge, compare, claim, export and report.
"""
