"""`evaluate_bag`: how good and how fast a model is on recorded drives. Needs no ROS unless it listens to a node."""
