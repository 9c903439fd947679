"""Settings and images to a trained model: the loop, the engines, their data and cores."""
