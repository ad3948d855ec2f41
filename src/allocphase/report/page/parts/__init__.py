"""The page's parts, as their templates read them: a scenario's, and what that is made of."""
