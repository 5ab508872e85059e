"""Request counts, the request log, and the endpoints for metrics and health."""
