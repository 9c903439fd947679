"""Trainings kept epoch by epoch, so that no run trains what another one has trained."""
