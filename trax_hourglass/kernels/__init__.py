"""What the layers compute: arrays in, arrays out, and nothing of Trax."""
