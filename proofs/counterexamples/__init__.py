"""One counterexample a file; each module has `counterexample()`: a conclusion that fails without a hypothesis."""
