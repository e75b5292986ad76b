"""The OpenAPI 3.1 description of this server, made from the tables that route, validate and search."""
