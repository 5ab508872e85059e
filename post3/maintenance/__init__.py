"""What runs apart from requests: collecting garbage, checking and scrubbing, rebuilding a catalogue."""
