"""All devices of all hosts."""
