"""The state of the mesh as one immutable value, and the views through which it is read."""
