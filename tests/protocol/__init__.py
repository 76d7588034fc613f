"""The model server against real clients, beside MLServer, and against callers who mean it harm."""
