"""A verdict for a terminal, as Markdown, as JUnit XML, in GitHub's words, and in sentences."""
