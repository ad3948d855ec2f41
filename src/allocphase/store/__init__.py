"""The run directory: what a run leaves on disk, and all that reports and gates ever read.

Place in the pipeline: between run, which writes it, and analysis, which reads it.
"""
