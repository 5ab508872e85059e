"""HTTP in and out: the table of operations, and one line from request to answer."""
