"""The contracts: what people send, what the services say, and the dated reference data."""
