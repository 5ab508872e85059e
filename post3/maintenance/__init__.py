"""Work outside of requests: garbage collection, checking, scrubbing, and rebuilding a catalogue."""
