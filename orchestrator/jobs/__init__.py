"""Runs as jobs of a Ray cluster elsewhere: submitted, followed, listed and stopped through Ray's Job Submission API."""
