"""The command `replay_bag`: publishes what a rosbag2 holds at its recorded times."""
