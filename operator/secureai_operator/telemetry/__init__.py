"""What the operator tells about itself: metrics, logs, events and probes. Never a secret."""
