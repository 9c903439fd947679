"""What is computed from finished runs: values, intervals, tests, and the verdict."""
