"""The computations inside the layers, from arrays to arrays, without Trax."""
