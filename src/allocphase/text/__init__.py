"""What people read: numbers with units, one line out of many, tables as wide as a terminal.

Place in the pipeline: below it.
"""
