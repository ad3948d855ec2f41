"""Benchmarks that others have run, as run directories that every reader takes.

    benchmarks         what a file says: names, repetitions, the machine as far as it is told
    google_benchmark   Google Benchmark's JSON
    go                 Go's benchmark format
    imported           from those to a run directory, through store's writer

Place in the pipeline: in the place of measuring.
"""
