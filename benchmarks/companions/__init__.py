"""Studies of the companions on real images: pruning and grafting with all controls, over several seeds."""
