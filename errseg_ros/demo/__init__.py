"""`errseg_demo`: images in, masks out and a vocabulary change, over real ROS 2 middleware."""
