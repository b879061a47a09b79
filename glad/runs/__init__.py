"""Runs: their folders, durable files, pictures, and what a person watches while one goes on."""
