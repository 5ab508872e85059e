"""Access control: API keys, permissions, and limits on requests and on guessed passwords."""
