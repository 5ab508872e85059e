"""Who may do what: keys, permissions, limits of requests and of guessed passwords."""
