"""`evaluate_bag --live`: the running node is evaluated while a bag is played to it."""
