"""What a person wrote: the suite file, its claims and its search, checked before anything is expanded."""
