"""Know which model is in production, since when, why and made of what: versions, aliases, and a log that only grows."""
