"""`secureai`, also installed as `kubectl-secureai`: one module per verb."""
