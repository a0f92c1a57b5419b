"""Two networks: how far apart they can be on a box, proved on one graph that holds their difference."""
