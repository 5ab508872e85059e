"""One function for each S3 operation: it reads the request, calls one service and answers."""
