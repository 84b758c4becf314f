"""SecureAI Operator: declare what must be true of an AI workload, and keep it true."""

__version__ = "0.1.0"
