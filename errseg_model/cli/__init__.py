"""The command `errseg`: one module per subcommand."""
