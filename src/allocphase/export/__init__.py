"""A run in the formats that others read: one file a format.

    formats      the list of `allocphase export`; a format's module has its name, and `write`
    exported     what is to be exported, and what came of it
    figures      one number a cell and metric; one a process and metric
    cells        the document of `--json`
    hdr          latencies in HdrHistogram's buckets, which hgrm and hlog write
    long_table   a row a process and metric, which csv writes
    timeline     a cell's first replay on a clock; protobuf: messages by hand. perfetto writes them

Place in the pipeline: after analysis.
"""
