"""What a run looks like: the table on the terminal, report.html, report.md and the figures.

    render      all files of a report, into the run directory; two runs in one page; one figure
    content/    what is shown: a Source holds it
    page/       report.html: the templates of reports/ filled, and the payload of its script
    figures/    the same with matplotlib, as PNG and SVG
    text/       the terminal's table, and report.md

Place in the pipeline: after analysis, stats and claim. It reads run directories only, and
starts no process.
"""
