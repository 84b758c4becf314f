"""What the product must be as to speed, writes and memory, measured on a lab of the real thing (`make bench`)."""
