"""`/openapi.json` and `/docs`: the API described, and a page to read it and try it. Nothing comes from elsewhere."""
