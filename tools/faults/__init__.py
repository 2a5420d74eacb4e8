"""What happens to jobs, done to real processes in throw-away folders: nothing is lost, nothing trained twice."""
