"""Ask a model server and wait for the answer: with a deadline, few retries and connections that are kept."""
