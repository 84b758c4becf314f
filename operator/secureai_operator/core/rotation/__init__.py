"""Rotation: when a key rotates, what comes next, and which policy rules it. All of it is pure."""
