"""What people read: numbers with units, one line out of many, tables of 80 columns.

Place in the pipeline: below it.
"""
