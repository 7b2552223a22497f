"""What is true: attribute structures, the model family, and the derivation of its gradient flow.  SymPy only."""
