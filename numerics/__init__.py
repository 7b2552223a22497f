"""What happens: integration of the derived flow, Gram measures, recorded runs, forecasts and their cross-checks."""
