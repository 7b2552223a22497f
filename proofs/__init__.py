"""Why we believe it: theorems with machine-checked proofs, their counterexamples, and strategies for property tests."""
