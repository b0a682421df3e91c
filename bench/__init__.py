"""What developers measure besides ``onepass bench``: instructions, and a course's training."""
