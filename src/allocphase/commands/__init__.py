"""One module a command: it parses, calls and prints, and imports its work when it runs.

cli.py lists them; shared.py has the options that several take. So --help stays quick.
"""
