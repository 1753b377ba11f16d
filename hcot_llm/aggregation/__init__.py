"""From what the label sources say to one posterior per clause, and the label update."""
