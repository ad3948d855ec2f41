"""report.html: the templates of reports/ filled, in one file that needs no network."""
