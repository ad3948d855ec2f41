"""A run in the formats that others read: one file a format.

Place in the pipeline: after analysis.
"""
