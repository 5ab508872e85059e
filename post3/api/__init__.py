"""The HTTP interface of S3: the table of operations, the path from request to response, and the views."""
