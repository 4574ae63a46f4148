"""What the lines of a sealed segment come to, in a file beside it: derived, and not used where it does not fit."""
