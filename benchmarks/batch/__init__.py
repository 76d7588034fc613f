"""The batch pattern: rows a second end to end, where the time goes, memory, two processes, and the row-by-row way."""
