"""Models: how they are declared, what is done with them, and `Model`, the face with the verbs."""
