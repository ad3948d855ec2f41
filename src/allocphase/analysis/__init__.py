"""From a run directory to tables: what was measured, in numbers with names.

    frames       a run as pandas frames; the cells with their metrics and warnings
    measures     the catalogue of metrics: names, units, probes, and how each is read
    metric_names what a user wrote to the metric that is meant
    metrics      a cell's metrics out of its processes; process_metrics: those of one process
    operations   one row an operation, joined over probes
    latency/     the latency of every call, by kind and by cause
    cell         one allocator on one scenario, with all of that
    baseline     times against the baseline's: paired by round, as a ratio and as a difference
    warnings     what a reader must know before he believes a figure
    comparable   whether two runs can be held against each other
    thin         so many of its operations that it can be drawn, and no outlier is lost
    sweep        one scenario at several values of a parameter; scaling: of the number of threads

Place in the pipeline: after store; before judge, compare, claim, export and report.
"""
