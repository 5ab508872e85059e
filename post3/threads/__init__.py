"""Threads that answer requests, wait for clients and read ahead."""
