"""What is counted and noted of requests, and where it is read: metrics, health."""
