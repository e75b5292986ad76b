"""How fast the server is, against limit handlers that do only what cannot be left out. `bench/README.md` says more."""
