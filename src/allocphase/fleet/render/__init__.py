"""A fleet's verdict for its readers: terminal, Markdown, JSON, and the page."""
