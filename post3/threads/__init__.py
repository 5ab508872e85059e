"""Threads that handle requests, wait for clients and read ahead."""
