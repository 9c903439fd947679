"""What is said of them: numbers, sentences, tables."""
