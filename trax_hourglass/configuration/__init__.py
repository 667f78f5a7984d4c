"""What the commands share: flags, gin files, errors, output directories."""
